//! Models of the hand-over between senders and the owner, on the real code with a queue that the
//! checker knows.

use super::*;
use crate::io::fault::{Fault, inject};
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Explores `model`, and asserts that there was more than one way to run it.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    assert!(runs.load(Ordering::Relaxed) > 2, "nothing was explored");
}

fn new(capacity: usize) -> (Inbox<u32>, Commands<u32>) {
    inbox(capacity, Arc::default(), WakeOn::here(), || {})
}

/// A sender against an owner that takes what is there and ends: the command is taken, drained or
/// refused, and its completion ends in every case.
fn hand_over() {
    let (inbox, mut commands) = new(1);
    let sender = thread::spawn({
        let inbox = inbox.clone();
        move || inbox.send(7)
    });
    let taken = commands.pop().map(|request| {
        request.reply.finish(Ok(()));
        request.command
    });
    commands.close();
    let sent = sender.join().expect("the sender ends");
    match (taken, sent) {
        (Some(command), Ok(completion)) => {
            assert_eq!((command, completion.result()), (7, Some(Ok(()))));
        }
        (None, Ok(completion)) => {
            assert_eq!(
                completion.result(),
                Some(Err(CommandError::OwnerGone)),
                "left lying"
            );
        }
        (taken, Err(error)) => assert_eq!((taken, error), (None, CommandError::OwnerGone)),
    }
    assert_eq!(inbox.len(), 0, "a closed inbox is empty");
}

#[test]
fn no_command_is_left_lying() {
    explore(hand_over);
}

#[test]
#[should_panic(expected = "left lying")]
fn a_sender_that_lets_go_early_leaves_its_command_lying() {
    inject(Fault::LetsGoEarly, || explore(hand_over));
}

/// Two senders for one place: no command is lost, doubled or taken twice.
#[test]
fn a_full_inbox_refuses_and_loses_nothing() {
    explore(|| {
        let (inbox, mut commands) = new(1);
        let other = thread::spawn({
            let inbox = inbox.clone();
            move || inbox.send(1).map(|_| 1)
        });
        let own = inbox.send(2).map(|_| 2);
        let other = other.join().expect("the sender ends");
        let mut sent: Vec<u32> = [own.clone().ok(), other.clone().ok()]
            .into_iter()
            .flatten()
            .collect();
        let mut taken = Vec::new();
        while let Some(request) = commands.pop() {
            taken.push(request.command);
        }
        sent.sort_unstable();
        taken.sort_unstable();
        assert_eq!(taken, sent);
        assert_eq!(sent.len(), 1, "there is room for one");
        assert!([own, other].contains(&Err(CommandError::InboxFull)));
    });
}

/// An owner that sleeps until the bell, and is told to stop while its inbox is full.
fn shutdown() {
    let bell = Arc::new(loom::sync::Notify::new());
    let ringing = Arc::clone(&bell);
    let (inbox, mut commands) = inbox(1, Arc::default(), WakeOn::here(), move || ringing.notify());
    let first = inbox.send(1).expect("room");
    let owner = thread::spawn(move || {
        let mut taken = 0;
        loop {
            while let Some(request) = commands.pop() {
                request.reply.finish(Ok(()));
                taken += 1;
            }
            if commands.is_stopping() {
                break;
            }
            bell.wait();
        }
        taken
    });
    let second = inbox.send(2);
    inbox.stop();
    let taken = owner.join().expect("the owner ends");
    assert_eq!(first.result(), Some(Ok(())), "it was there before");
    match second {
        Ok(second) if taken == 2 => assert_eq!(second.result(), Some(Ok(()))),
        Ok(second) => assert_eq!(
            second.result(),
            Some(Err(CommandError::OwnerGone)),
            "left lying"
        ),
        Err(error) => assert_eq!((error, taken), (CommandError::InboxFull, 1)),
    }
    assert!(inbox.is_closed());
}

#[test]
fn an_owner_that_sleeps_hears_that_it_is_to_stop() {
    explore(shutdown);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_bell_that_is_rung_first_is_not_heard() {
    inject(Fault::RingsFirst, || explore(shutdown));
}

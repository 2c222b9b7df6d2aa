use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn silent<C>(capacity: usize) -> (Inbox<C>, Commands<C>) {
    inbox(capacity, Arc::default(), WakeOn::here(), || {})
}

#[test]
fn commands_are_taken_in_order_and_their_ends_are_seen_both_ways() {
    let (rang, bell) = std::sync::mpsc::channel();
    let (inbox, mut commands) = inbox(4, Arc::default(), WakeOn::here(), move || {
        rang.send(()).expect("heard");
    });
    let blocking = inbox.send("first").expect("room");
    let awaited = inbox.send("second").expect("room");
    assert_eq!((bell.try_iter().count(), inbox.len()), (2, 2));
    let owner = std::thread::spawn(move || {
        commands.adopt();
        let first = commands.pop().expect("the first");
        assert_eq!(first.command, "first");
        first.reply.finish(Ok(()));
        let second = commands.pop().expect("the second");
        assert_eq!(second.command, "second");
        second.reply.finish(Err(CommandError::Foreign));
    });
    assert_eq!(blocking.wait(LONG), Ok(()));
    assert_eq!(pollster::block_on(awaited), Err(CommandError::Foreign));
    owner.join().expect("the owner");
}

#[test]
fn a_full_inbox_refuses_and_enqueues_nothing() {
    let (inbox, mut commands) = silent(1);
    let first = inbox.send(1).expect("room");
    assert_eq!(inbox.send(2).expect_err("no room"), CommandError::InboxFull);
    commands.pop().expect("one").reply.finish(Ok(()));
    assert!(commands.pop().is_none() && commands.is_empty());
    assert_eq!(first.result(), Some(Ok(())));
    assert!(CommandError::InboxFull.is_retryable());
}

#[test]
fn whatever_an_owner_leaves_behind_ends_with_owner_gone() {
    let (inbox, mut commands) = silent(4);
    let waiting = inbox.send(1).expect("room");
    let taken = inbox.send(2).expect("room");
    let kept = inbox.send(3).expect("room");
    let first = commands.pop().expect("the first");
    first.reply.finish(Ok(()));
    let held = commands.pop().expect("the second");
    drop(commands);
    assert_eq!(kept.wait(LONG), Err(CommandError::OwnerGone));
    assert_eq!(waiting.wait(LONG), Ok(()));
    assert_eq!(taken.result(), None, "still in the owner's hands");
    drop(held);
    assert_eq!(taken.wait(LONG), Err(CommandError::OwnerGone));
    assert!(inbox.is_closed());
    assert_eq!(inbox.send(4).expect_err("closed"), CommandError::OwnerGone);
}

#[test]
fn no_command_is_lost_between_senders_and_a_closing_owner() {
    for _ in 0..50 {
        let (inbox, mut commands) = silent(1024);
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let inbox = inbox.clone();
                std::thread::spawn(move || {
                    (0..20)
                        .map_while(|n| inbox.send(n).ok())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for _ in 0..7 {
            if let Some(request) = commands.pop() {
                request.reply.finish(Ok(()));
            }
        }
        drop(commands);
        for completion in senders
            .into_iter()
            .flat_map(|s| s.join().expect("a sender"))
        {
            let end = completion.result();
            assert!(
                matches!(end, Some(Ok(()) | Err(CommandError::OwnerGone))),
                "{end:?}"
            );
        }
    }
}

#[test]
fn a_blocking_wait_on_the_owners_thread_is_refused() {
    let (inbox, mut commands) = silent(2);
    commands.adopt();
    let completion = inbox.send(()).expect("room");
    assert_eq!(completion.wait(LONG), Err(CommandError::WouldDeadlock));
    commands.pop().expect("one").reply.finish(Ok(()));
    assert_eq!(
        completion.wait(LONG),
        Ok(()),
        "nothing to wait for any more"
    );
    let elsewhere = inbox.send(()).expect("room");
    let waiter = std::thread::spawn(move || elsewhere.wait(Duration::ZERO));
    assert_eq!(
        waiter.join().expect("the waiter"),
        Err(CommandError::TimedOut)
    );
}

#[test]
fn an_inbox_opens_again_after_a_restart() {
    let (inbox, mut commands) = silent(2);
    commands.close();
    assert!(inbox.send(1).is_err());
    commands.reopen();
    let completion = inbox.send(2).expect("open again");
    commands.pop().expect("one").reply.finish(Ok(()));
    assert_eq!(completion.result(), Some(Ok(())));
}

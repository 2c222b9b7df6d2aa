//! The hand-over between threads as a whole: senders and their owner with its inbox, and the slow
//! writer's queue, into which the owner and others push. The owner sleeps when there is nothing to
//! do, and is told to stop in the middle of it all.
//!
//! What was taken is done once, in its sender's order; what was not is answered; everybody ends.

use super::combine::{Combiner, Combining};
use crate::io::fault::{Fault, inject};
use crate::io::inbox::{CommandError, Commands, Inbox, inbox};
use crate::io::latch::WakeOn;
use crate::sync::compose::{caught, compose};
use crate::sync::{self, Arc, AtomicUsize, Ordering, thread};

/// Items of each who sends or pushes.
const ITEMS: u32 = 2;
const SENDERS: u32 = 3;
const PUSHERS: u32 = 2;
/// Who takes the lock of the slow writer.
const WRITER: u32 = SENDERS + PUSHERS;

/// Who made it, and its number there.
type Item = (u32, u32);

/// The slow writer's state: what it has done.
struct Done {
    items: Vec<Item>,
    batches: AtomicUsize,
}

impl Combiner<Item> for Done {
    fn combine(&mut self, items: impl Iterator<Item = Item>) {
        self.items.extend(items);
        // The end of a batch takes its time, too: the checker may stop a thread before an access,
        // and there is none between the last look at the queue and the unlocking.
        self.batches.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the owner sleeps on.
struct Bell {
    rung: sync::Mutex<bool>,
    changed: sync::Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("no panic under this lock") = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().expect("no panic under this lock");
        while !*rung {
            rung = self.changed.wait(rung).expect("no panic under this lock");
        }
        *rung = false;
    }
}

type Work = Combining<Done, Item>;

/// The owner: passes on what it is sent, until it is told to stop.
fn own(work: &Work, mut commands: Commands<Item>, bell: &Bell) {
    loop {
        while let Some(request) = commands.pop() {
            let passed = work.push(request.command);
            request
                .reply
                .finish(passed.map_err(|_| CommandError::InboxFull));
        }
        if commands.is_stopping() {
            return;
        }
        bell.wait();
    }
}

/// Sends, and waits for each answer; what was carried out.
fn send(inbox: &Inbox<Item>, who: u32) -> Vec<Item> {
    let mut gone = false;
    let mut carried_out = Vec::new();
    for item in (0..ITEMS).map(|number| (who, number)) {
        match inbox.send(item).and_then(shuttle::future::block_on) {
            Ok(()) => carried_out.push(item),
            Err(CommandError::OwnerGone) => gone = true,
            Err(error) => assert_eq!(error, CommandError::InboxFull),
        }
        assert!(!gone || inbox.is_closed(), "an owner that is gone stays so");
    }
    carried_out
}

/// Pushes without waiting; what was taken.
fn push(work: &Work, who: u32) -> Vec<Item> {
    let items = (0..ITEMS).map(|number| (who, number));
    items.filter(|item| work.push(*item).is_ok()).collect()
}

/// Changes the state itself.
fn write(work: &Work) -> Vec<Item> {
    let items: Vec<_> = (0..ITEMS).map(|number| (WRITER, number)).collect();
    for item in &items {
        work.with(|done| done.items.push(*item));
    }
    items
}

fn hand_over() {
    let done = Done {
        items: Vec::new(),
        batches: AtomicUsize::new(0),
    };
    let work = Arc::new(Combining::new(done, 2));
    let bell = Arc::new(Bell {
        rung: sync::Mutex::new(false),
        changed: sync::Condvar::new(),
    });
    let ringing = Arc::clone(&bell);
    let (inbox, commands) = inbox(2, Arc::default(), WakeOn::here(), move || ringing.ring());
    let owner = {
        let work = Arc::clone(&work);
        thread::spawn(move || own(&work, commands, &bell))
    };
    let mut threads: Vec<_> = (1..SENDERS)
        .map(|who| {
            let inbox = inbox.clone();
            thread::spawn(move || send(&inbox, who))
        })
        .collect();
    threads.extend((SENDERS..SENDERS + PUSHERS).map(|who| {
        let work = Arc::clone(&work);
        thread::spawn(move || push(&work, who))
    }));
    threads.push({
        let work = Arc::clone(&work);
        thread::spawn(move || write(&work))
    });
    // The first of the senders, until it has seen enough.
    let mut taken = vec![send(&inbox, 0)];
    inbox.stop();
    owner.join().expect("the owner ends");
    let others = threads.into_iter().map(thread::JoinHandle::join);
    taken.extend(others.map(|taken| taken.expect("it ends")));
    assert_eq!(inbox.len(), 0, "a closed inbox is empty");
    assert_eq!(work.waiting(), 0, "left lying");
    let done = work.with(|done| done.items.clone());
    for (who, taken) in (0..).zip(&taken) {
        let own: Vec<_> = done.iter().filter(|item| item.0 == who).copied().collect();
        assert_eq!(own, *taken, "lost, doubled, or out of order");
    }
    assert_eq!(done.len(), taken.concat().len(), "of nobody");
}

#[test]
fn what_is_handed_over_is_done_once_or_answered() {
    compose(hand_over);
}

#[test]
fn a_sender_that_lets_go_early_is_never_answered() {
    inject(Fault::LetsGoEarly, || caught("deadlock", hand_over));
}

#[test]
fn an_owner_whose_bell_is_rung_first_never_ends() {
    inject(Fault::RingsFirst, || caught("deadlock", hand_over));
}

#[test]
fn items_are_left_lying_without_the_second_look() {
    inject(Fault::LooksOnce, || caught("left lying", hand_over));
}

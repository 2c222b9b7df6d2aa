//! Who asks the REST side: requests lie here until the simulation answers them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tickcache::{FetchError, Fetched};

pub(crate) type Reply = Result<Fetched, FetchError>;

/// Who has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    Resync,
    Query,
}

/// A request that has no answer yet.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) key: usize,
    pub(crate) asker: Asker,
    pub(crate) attempt: u32,
}

#[derive(Default)]
struct Line {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Book {
    next: u64,
    open: Vec<(Call, Arc<Mutex<Line>>)>,
    /// Requests that the simulation has not looked at.
    fresh: Vec<Call>,
}

/// Clones are the same desk.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Book>>);

impl Desk {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nothing panics with it")
    }

    /// What a fetcher returns.
    pub(crate) fn ask(
        &self,
        key: usize,
        asker: Asker,
        attempt: u32,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let line = Arc::new(Mutex::new(Line::default()));
        let mut book = self.book();
        book.next += 1;
        let number = book.next;
        let call = Call {
            number,
            key,
            asker,
            attempt,
        };
        book.open.push((call, Arc::clone(&line)));
        book.fresh.push(call);
        Waiting {
            line,
            number,
            desk: self.clone(),
        }
    }

    /// Requests since the last call.
    pub(crate) fn take_fresh(&self) -> Vec<Call> {
        std::mem::take(&mut self.book().fresh)
    }

    /// How many requests for a key have no answer.
    pub(crate) fn open(&self, key: usize) -> usize {
        let book = self.book();
        book.open.iter().filter(|(call, _)| call.key == key).count()
    }

    /// Answers a request, unless it is gone; whether it was there.
    pub(crate) fn answer(&self, number: u64, reply: Reply) -> bool {
        let mut book = self.book();
        let Some(at) = book.open.iter().position(|(call, _)| call.number == number) else {
            return false;
        };
        let (_, line) = book.open.remove(at);
        drop(book);
        let mut line = line.lock().expect("nothing panics with it");
        line.reply = Some(reply);
        if let Some(waker) = line.waker.take() {
            drop(line);
            waker.wake();
        }
        true
    }
}

struct Waiting {
    line: Arc<Mutex<Line>>,
    number: u64,
    desk: Desk,
}

impl Future for Waiting {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let mut line = self.line.lock().expect("nothing panics with it");
        if let Some(reply) = line.reply.take() {
            return Poll::Ready(reply);
        }
        line.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let number = self.number;
        let mut book = self.desk.book();
        book.open.retain(|(call, _)| call.number != number);
    }
}

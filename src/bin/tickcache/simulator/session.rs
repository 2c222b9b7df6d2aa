//! One connection of the exchange.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastwebsockets::OpCode;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::Rate;
use super::encode::Form;
use super::market::{Channel, Stream};
use super::pace::{Schedule, Timer};
use super::protocol::{self, Request, Target};
use super::server::{Control, Flow, Shared};
use super::wire::{Connection, Event, Outbox};

/// When a connection carries both channels, every tenth message is a `ticker`.
const TICKER_EVERY: u64 = 10;

/// How long a closing client is waited for.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Why a session ended.
enum End {
    /// The client closed or went away.
    Client,
    /// This side closes with a code and a reason.
    Close(u16, &'static str),
}

/// Runs one connection to its end.
pub(crate) async fn run(
    connection: Connection,
    target: Target,
    shared: Arc<Shared>,
    mut control: watch::Receiver<Control>,
) {
    let (life, truncated) = shared.lifetime();
    let cuts = control.borrow().cuts;
    let Ok(mut session) = Session::new(
        connection,
        target.form,
        Arc::clone(&shared),
        control.clone(),
    ) else {
        return;
    };
    for name in &target.streams {
        session.subscribe(name);
    }
    let lost = async {
        match life {
            Some(life) => tokio::time::sleep(life).await,
            None => std::future::pending().await,
        }
    };
    // The session is left wherever it stands, half-way through a write as well: the connection is
    // lost while a stalled client does not read, too.
    let fate = tokio::select! {
        biased;
        _ = control.wait_for(|control| control.cuts != cuts) => Fate::Reset,
        () = lost => if truncated { Fate::Truncated } else { Fate::Reset },
        end = session.serve() => match end {
            Ok(End::Close(code, reason)) => Fate::Closed(code, reason),
            Ok(End::Client) | Err(_) => Fate::Ended,
        },
    };
    let Session {
        mut connection,
        mut outbox,
        ..
    } = session;
    match fate {
        Fate::Reset => {
            shared.count_drop();
            connection.reset().await;
        }
        Fate::Truncated if !outbox.is_empty() => {
            // Left in the middle of a write: more bytes would be read as the rest of that frame.
            shared.count_drop();
            connection.end().await;
        }
        Fate::Truncated => {
            shared.count_drop();
            outbox.text(|text| text.extend_from_slice(b"{\"stream\":\"cut off\"}"));
            connection.truncate(&outbox).await;
        }
        Fate::Closed(code, reason) => {
            outbox.clear();
            outbox.close(code, reason);
            // A client that does not read is not waited for.
            let _ = timeout(CLOSE_WITHIN, connection.write.write_all(outbox.bytes())).await;
            connection.end().await;
        }
        Fate::Ended => connection.end().await,
    }
}

/// How a connection ends.
enum Fate {
    /// Lost by a reset.
    Reset,
    /// Lost in the middle of a frame.
    Truncated,
    /// Closed by this side with a code and a reason.
    Closed(u16, &'static str),
    /// The client closed or went away.
    Ended,
}

struct Session {
    connection: Connection,
    outbox: Outbox,
    timer: Timer,
    shared: Arc<Shared>,
    control: watch::Receiver<Control>,
    form: Form,
    /// Streams not yet told of: one message each, before anything else.
    fresh: VecDeque<Stream>,
    books: Vec<Stream>,
    tickers: Vec<Stream>,
    /// Messages chosen, and the next of the round robin in each list.
    chosen: u64,
    turn: usize,
    /// Set while messages are due: it has subscriptions and is not held back.
    schedule: Option<(Schedule, u64)>,
    next_ping: Instant,
    unanswered_since: Option<Instant>,
}

impl Session {
    fn new(
        connection: Connection,
        form: Form,
        shared: Arc<Shared>,
        control: watch::Receiver<Control>,
    ) -> io::Result<Self> {
        let next_ping = Instant::now() + shared.settings.ping_every;
        Ok(Self {
            connection,
            outbox: Outbox::default(),
            timer: Timer::new()?,
            shared,
            control,
            form,
            fresh: VecDeque::new(),
            books: Vec::new(),
            tickers: Vec::new(),
            chosen: 0,
            turn: 0,
            schedule: None,
            next_ping,
            unanswered_since: None,
        })
    }

    async fn serve(&mut self) -> io::Result<End> {
        loop {
            let flow = self.control.borrow_and_update().flow;
            if flow != Flow::Running {
                // What would have been sent meanwhile was never made: the schedule begins anew.
                self.schedule = None;
            }
            if flow == Flow::Frozen {
                if self.control.changed().await.is_err() {
                    return Ok(End::Client);
                }
                continue;
            }
            while let Ok(event) = self.connection.events.try_recv() {
                if let Some(end) = self.handle(event).await? {
                    return Ok(end);
                }
            }
            let now = Instant::now();
            if let Some(end) = self.ping(now) {
                return Ok(end);
            }
            let next = if flow == Flow::Running {
                self.fill(now)
            } else {
                None
            };
            if !self.outbox.is_empty() {
                self.flush().await?;
                continue;
            }
            let ping = self.ping_deadline();
            let (timer, even) = (&mut self.timer, self.shared.settings.even);
            let due = async {
                match next {
                    Some(at) => Schedule::wait(even, timer, at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.connection.events.recv() => {
                    if let Some(end) = self.handle(event.unwrap_or(Event::Gone)).await? {
                        return Ok(end);
                    }
                }
                due = due => due?,
                changed = self.control.changed() => if changed.is_err() {
                    return Ok(End::Client);
                },
                () = sleep_until(ping.into()) => {}
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.connection.write.write_all(self.outbox.bytes()).await?;
        self.shared.count_bytes(self.outbox.bytes().len());
        self.outbox.clear();
        // Under full load the socket is always ready; the reader must get its turn nevertheless.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> io::Result<Option<End>> {
        match event {
            Event::Text(text) => {
                let answer = self.answer(&text);
                self.outbox
                    .text(|out| out.extend_from_slice(answer.as_bytes()));
            }
            Event::Ping(payload) => self.outbox.control(OpCode::Pong, &payload),
            Event::Pong => self.unanswered_since = None,
            Event::Close(payload) => {
                self.outbox.control(OpCode::Close, &payload);
                // A client that has closed may not read any more.
                let _ = timeout(CLOSE_WITHIN, self.flush()).await;
                return Ok(Some(End::Client));
            }
            Event::Gone => return Ok(Some(End::Client)),
        }
        Ok(None)
    }

    fn answer(&mut self, text: &str) -> String {
        match protocol::request(text) {
            Ok((Request::Subscribe(names), id)) => {
                names.iter().for_each(|name| self.subscribe(name));
                protocol::acknowledgement(&id)
            }
            Ok((Request::Unsubscribe(names), id)) => {
                names.iter().for_each(|name| self.unsubscribe(name));
                protocol::acknowledgement(&id)
            }
            Ok((Request::List, id)) => {
                let market = self.shared.market();
                let streams = self.books.iter().chain(&self.tickers);
                let names: Vec<_> = streams.map(|stream| market.name(*stream)).collect();
                protocol::listing(&names, &id)
            }
            Err(refusal) => refusal,
        }
    }

    /// Unknown names are taken and never sent anything for, as on the exchange.
    fn subscribe(&mut self, name: &str) {
        let Some(stream) = self.shared.market().stream(name) else {
            return;
        };
        let list = match stream.channel {
            Channel::Book => &mut self.books,
            Channel::Ticker => &mut self.tickers,
        };
        if !list.contains(&stream) {
            list.push(stream);
            self.fresh.push_back(stream);
        }
    }

    fn unsubscribe(&mut self, name: &str) {
        let Some(stream) = self.shared.market().stream(name) else {
            return;
        };
        self.books.retain(|other| *other != stream);
        self.tickers.retain(|other| *other != stream);
        self.fresh.retain(|other| *other != stream);
    }

    fn ping_deadline(&self) -> Instant {
        let pong = self
            .unanswered_since
            .map(|since| since + self.shared.settings.pong_within);
        pong.map_or(self.next_ping, |pong| pong.min(self.next_ping))
    }

    fn ping(&mut self, now: Instant) -> Option<End> {
        let settings = &self.shared.settings;
        if self
            .unanswered_since
            .is_some_and(|since| now >= since + settings.pong_within)
        {
            return Some(End::Close(1008, "no pong"));
        }
        if now >= self.next_ping {
            self.next_ping = now + settings.ping_every;
            let payload = self.shared.clock.unix_millis(now).to_string();
            self.outbox.control(OpCode::Ping, payload.as_bytes());
            self.unanswered_since.get_or_insert(now);
        }
        None
    }

    /// Puts the messages that are due into the outbox, up to one batch, and says when the next one
    /// is due.
    fn fill(&mut self, now: Instant) -> Option<Instant> {
        if self.books.is_empty() && self.tickers.is_empty() {
            self.schedule = None;
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let mut market = shared.market();
        let before = self.outbox.frames();
        let even = shared.settings.even;
        let mut left = shared.left();
        let next = match shared.settings.rate {
            Rate::Max => {
                while left > 0 && !self.outbox.is_full() {
                    let stream = self.choose(|bound| market.below(bound));
                    let at = if even { Instant::now() } else { now };
                    self.outbox
                        .text(|text| market.next(stream, self.form, at, text));
                    left -= 1;
                }
                Some(now)
            }
            Rate::PerSecond(rate) => {
                let (schedule, mut k) = self.schedule.unwrap_or_else(|| match even {
                    true => (Schedule::even(now, rate), 0),
                    false => (Schedule::new(now, rate), 0),
                });
                let due = schedule.due(now);
                while k < due && left > 0 && !self.outbox.is_full() {
                    let stream = self.choose(|bound| market.below(bound));
                    let at = if even { Instant::now() } else { schedule.at(k) };
                    self.outbox
                        .text(|text| market.next(stream, self.form, at, text));
                    k += 1;
                    left -= 1;
                }
                self.schedule = Some((schedule, k));
                Some(schedule.at(k))
            }
        };
        shared.count_sent(self.outbox.frames() - before);
        next.filter(|_| left > 0)
    }

    /// Half of the messages go round all streams, so that none is forgotten; the other half prefers
    /// the first symbols, so that some are busier than others.
    fn choose(&mut self, mut below: impl FnMut(usize) -> usize) -> Stream {
        if let Some(stream) = self.fresh.pop_front() {
            return stream;
        }
        self.chosen += 1;
        let ticker = self.books.is_empty()
            || (!self.tickers.is_empty() && self.chosen.is_multiple_of(TICKER_EVERY));
        let list = if ticker { &self.tickers } else { &self.books };
        if below(2) == 0 {
            self.turn += 1;
            list[self.turn % list.len()]
        } else {
            list[below(list.len()).min(below(list.len()))]
        }
    }
}

//! One connection to an exchange of the soak.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fastrand::Rng;
use fastwebsockets::OpCode;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use super::exchange::{Exchange, Order, Seat};
use super::form::Form;
use crate::simulator::protocol;
use crate::simulator::wire::{Connection, Event, Outbox};

/// Messages that can be sent again.
const KEPT: usize = 64;

/// A ping follows so many messages; its answer says that they have been read.
const PING_AFTER: u64 = 128;

/// Messages that may be on the way: more would only be old when they are read.
const WINDOW: u64 = 1024;

/// What the frame of a fault says, which no reader of JSON takes.
const GARBAGE: &str = r#"{"stream":"s0@bookTicker","data":{"u":1,,}"#;

/// A frame with an opcode that has no meaning.
const ILLEGAL: [u8; 3] = [0x83, 1, b'?'];

/// The first bytes of what is written in small pieces go one by one, or a few at a time.
const CHOPPED_BYTES: usize = 96;

/// Time between two pieces.
const PIECE_EVERY: Duration = Duration::from_micros(200);

/// How a session ends.
enum End {
    /// The client closed, went away, or was let go of.
    Over,
    Truncate,
    Reset,
    /// It stays until the client gives up.
    Forgotten,
}

/// Runs a connection to its end. `streams` are those of its address.
pub(crate) async fn run(connection: Connection, streams: Vec<String>, exchange: Arc<Exchange>) {
    let seat = exchange.join(&streams);
    let number = seat.number;
    let mut session = Session {
        connection,
        seat,
        outbox: Outbox::default(),
        sent: VecDeque::new(),
        told: 0,
        read: 0,
        pings: VecDeque::new(),
        owed: 0,
        counted: 0,
        rng: Rng::with_seed(number),
        exchange: Arc::clone(&exchange),
    };
    let end = session.serve().await.unwrap_or(End::Over);
    exchange.leave(number);
    let Session {
        mut connection,
        mut outbox,
        ..
    } = session;
    match end {
        End::Over => connection.end().await,
        End::Reset => connection.reset().await,
        End::Truncate => {
            if outbox.is_empty() {
                outbox.text(|out| out.extend_from_slice(GARBAGE.as_bytes()));
            }
            connection.truncate(&outbox).await;
        }
        End::Forgotten => {
            while let Some(event) = connection.events.recv().await {
                if matches!(event, Event::Gone | Event::Close(_)) {
                    break;
                }
            }
            connection.end().await;
        }
    }
}

struct Session {
    connection: Connection,
    seat: Seat,
    outbox: Outbox,
    /// What was sent last, newest last, with its number on the connection.
    sent: VecDeque<(u64, Arc<str>)>,
    /// Messages told so far, how many of them the client has read at least, and at which of them
    /// pings were sent that are not answered yet.
    told: u64,
    read: u64,
    pings: VecDeque<u64>,
    /// How many of what was sent are to be sent again.
    owed: usize,
    /// Number of the last message on the connection.
    counted: u64,
    rng: Rng,
    exchange: Arc<Exchange>,
}

/// A client's request, of either exchange that is asked by message.
#[derive(Deserialize)]
struct TopicRequest {
    req_id: Option<String>,
    op: String,
    #[serde(default)]
    args: Vec<String>,
}

impl Session {
    async fn serve(&mut self) -> io::Result<End> {
        loop {
            tokio::select! {
                biased;
                order = self.seat.orders.recv() => {
                    // Without whoever gives orders it was let go of.
                    let end = order.map_or(Some(End::Over), |order| self.obey(&order));
                    if let Some(end) = end {
                        return Ok(end);
                    }
                }
                event = self.connection.events.recv() => match event {
                    Some(Event::Text(text)) => self.requested(&text),
                    Some(Event::Ping(payload)) => self.outbox.control(OpCode::Pong, &payload),
                    Some(Event::Pong) => self.read = self.pings.pop_front().unwrap_or(self.read),
                    Some(Event::Close(payload)) => {
                        self.outbox.control(OpCode::Close, &payload);
                        self.write().await?;
                        return Ok(End::Over);
                    }
                    Some(Event::Gone) | None => return Ok(End::Over),
                },
                text = self.seat.queue.recv(), if self.on_the_way() < WINDOW => {
                    let Some(text) = text else { return Ok(End::Over) };
                    self.tell(text);
                    while !self.outbox.is_full()
                        && self.on_the_way() < WINDOW
                        && let Ok(text) = self.seat.queue.try_recv()
                    {
                        self.tell(text);
                    }
                }
            }
            self.repeat();
            self.write().await?;
        }
    }

    fn on_the_way(&self) -> u64 {
        self.told - self.read
    }

    fn tell(&mut self, text: Arc<str>) {
        self.told += 1;
        self.counted += 1;
        self.push(self.counted, &text);
        if self.sent.len() == KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back((self.counted, text));
        if self.told.is_multiple_of(PING_AFTER) {
            self.outbox.control(OpCode::Ping, b"");
            self.pings.push_back(self.told);
        }
    }

    /// Repeats what it was told to, once it has sent as much.
    fn repeat(&mut self) {
        if self.owed == 0 || self.sent.len() < self.owed {
            return;
        }
        let from = self.sent.len() - std::mem::take(&mut self.owed);
        let again: Vec<_> = self.sent.range(from..).cloned().collect();
        for (number, text) in again {
            self.push(number, &text);
        }
    }

    fn push(&mut self, number: u64, text: &str) {
        let counts = self.exchange.form.counts_connection();
        self.outbox.text(|out| {
            if counts {
                out.extend_from_slice(format!("{{\"c\":{number},").as_bytes());
                out.extend_from_slice(&text.as_bytes()[1..]);
            } else {
                out.extend_from_slice(text.as_bytes());
            }
        });
    }

    fn obey(&mut self, order: &Order) -> Option<End> {
        match order {
            Order::Cut => return Some(End::Over),
            Order::Truncate => return Some(End::Truncate),
            Order::Reset => return Some(End::Reset),
            Order::Forget => return Some(End::Forgotten),
            Order::Repeat(last) => self.owed = *last,
            Order::Skip(numbers) => self.counted += numbers,
            Order::Garbage => self
                .outbox
                .text(|out| out.extend_from_slice(GARBAGE.as_bytes())),
            Order::Illegal => self.outbox.raw(&ILLEGAL),
        }
        None
    }

    /// A client asks for something; what is not understood is not answered, as such exchanges do.
    fn requested(&mut self, text: &str) {
        if self.exchange.form == Form::Linear {
            let Ok(request) = serde_json::from_str::<TopicRequest>(text) else {
                return;
            };
            let id = request.req_id.unwrap_or_default();
            let (op, answer) = (request.op, "\"success\":true,\"ret_msg\":\"\"");
            self.outbox.text(|out| {
                let text = format!("{{{answer},\"req_id\":\"{id}\",\"op\":\"{op}\"}}");
                out.extend_from_slice(text.as_bytes());
            });
            if op == "subscribe" {
                let topics: Vec<_> = request.args;
                self.exchange.subscribe(self.seat.number, &topics);
            }
            return;
        }
        let (streams, answer) = match protocol::request(text) {
            Ok((protocol::Request::Subscribe(streams), id)) => {
                (streams, protocol::acknowledgement(&id))
            }
            Ok((_, id)) => (Vec::new(), protocol::acknowledgement(&id)),
            Err(refusal) => (Vec::new(), refusal),
        };
        self.exchange.subscribe(self.seat.number, &streams);
        self.outbox
            .text(|out| out.extend_from_slice(answer.as_bytes()));
    }

    async fn write(&mut self) -> io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        // Before they are: whoever compares never finds more received than written.
        let written = &self.exchange.told.written;
        written.fetch_add(self.outbox.frames(), Relaxed);
        let chopped = self.exchange.conditions().borrow().chopped;
        let mut rest = self.outbox.bytes();
        if chopped {
            let (mut first, last) = rest.split_at(rest.len().min(CHOPPED_BYTES));
            while !first.is_empty() {
                let piece = self.rng.usize(1..=first.len().min(16));
                self.connection.write.write_all(&first[..piece]).await?;
                first = &first[piece..];
                tokio::time::sleep(PIECE_EVERY).await;
            }
            rest = last;
        }
        self.connection.write.write_all(rest).await?;
        self.outbox.clear();
        Ok(())
    }
}

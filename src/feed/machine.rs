//! One upstream as a state machine: bytes and instants in, bytes and actions out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::Random;
use super::config::Config;
use super::counters::Counters;
use super::intake::{Intake, Tap};
use super::outbox::{Outbox, Window};
use super::outgoing::Outgoing;
use super::protocol::{Protocol, SubscribeError, Subscription};
use super::registry::Registry;
use super::timer::{Timer, Timers};
use crate::Time;
use crate::ws::Decoder;

mod action;
mod company;
mod deferring;
mod receiving;
mod sending;

use deferring::Deferring;

pub use action::{Action, Ended, Lost, State};

/// The longest time for which a server can keep a feed from trying again: it may be mistaken, and
/// nobody would be there to correct it.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Close code of an endpoint that is done (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;

/// One upstream as a state machine: bytes and instants in, bytes and actions out.
///
/// It owns everything that has to be decided about a connection (when to connect, what to send,
/// when to give up, what a message means) and nothing that waits. A driver
///
/// 1. calls [`start`](Self::start), then takes [`poll_action`](Self::poll_action) until it
///    yields `None`, after this and after every other call;
/// 2. on [`Action::Connect`] makes a connection (to [`address`](Self::address), or wherever the
///    user says) and reports [`handle_connected`](Self::handle_connected) or
///    [`handle_failed`](Self::handle_failed);
/// 3. while it is open reads into [`space`](Self::space) and reports
///    [`handle_filled`](Self::handle_filled), which decodes every message that came; the end of
///    the socket is [`handle_closed`](Self::handle_closed);
/// 4. writes [`transmit`](Self::transmit) and reports
///    [`handle_transmitted`](Self::handle_transmitted);
/// 5. sleeps until [`poll_timeout`](Self::poll_timeout) at most, then calls
///    [`handle_timeout`](Self::handle_timeout).
///
/// No call blocks; between two messages of steady state nothing is allocated. After
/// [`stop`](Self::stop) nothing connects again.
#[derive(Debug)]
pub struct Machine<P> {
    config: Config,
    intake: Intake<P>,
    counters: Arc<Counters>,
    frames: Decoder,
    /// Bytes that came with the handshake and did not fit the read buffer yet.
    leftover: Vec<u8>,
    registry: Registry,
    window: Window,
    /// Of requests for subscriptions alone.
    requests: Window,
    /// Of attempts to connect.
    connects: Window,
    outgoing: Outgoing,
    random: Random,
    timers: Timers,
    actions: VecDeque<Action>,
    state: State,
    generation: u64,
    /// Failures in a row.
    failures: u32,
    opened_at: Time,
    /// Whether the present connection has brought data.
    has_data: bool,
    silent: bool,
    deferred: Deferring<P>,
}

impl<P: Protocol> Machine<P> {
    /// An upstream that has not started. `seed` feeds jitter and frame masks: take it from the
    /// operating system, or fix it to repeat a run.
    ///
    /// # Errors
    /// If what the protocol wants from the start cannot be subscribed to.
    pub fn new(
        config: Config,
        protocol: P,
        counters: Arc<Counters>,
        seed: u64,
    ) -> Result<Self, SubscribeError> {
        let settings = config.settings();
        let outbox = Outbox::new(settings.max_outgoing_texts, settings.max_outgoing_bytes);
        let pace = settings.pace.or_else(|| protocol.pace());
        let (request_pace, connect_pace) = (protocol.request_pace(), protocol.connect_pace());
        let mut registry = Registry::default();
        let initial = protocol.initial();
        initial
            .iter()
            .try_for_each(|subscription| protocol.check(subscription))?;
        registry.subscribe(None, initial, protocol.capacity())?;
        Ok(Self {
            frames: Decoder::new(settings.limits),
            leftover: Vec::new(),
            registry,
            window: Window::new(pace),
            requests: Window::new(request_pace),
            connects: Window::new(connect_pace),
            outgoing: Outgoing::new(settings.max_outgoing_bytes),
            random: Random::seeded(seed),
            timers: Timers::new(),
            actions: VecDeque::new(),
            state: State::Idle,
            generation: 0,
            failures: 0,
            opened_at: Time::ZERO,
            has_data: false,
            silent: false,
            deferred: Deferring::default(),
            intake: Intake::new(protocol, settings.max_depth, outbox, Arc::clone(&counters)),
            counters,
            config,
        })
    }

    /// Shows every message that the protocol does not map to `tap`; see [`Intake::tap`].
    pub fn tap(&mut self, tap: Tap) {
        self.intake.tap(tap);
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether `silent_after` has passed without data on the present connection.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What it counts.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Its protocol.
    #[must_use]
    pub const fn protocol(&self) -> &P {
        self.intake.protocol()
    }

    /// The next subscription that is not wanted any more because the server has refused it, or it
    /// cannot be asked for: nothing keeps its value up. Asked after every call, as
    /// [`poll_action`](Self::poll_action) is.
    pub fn poll_denied(&mut self) -> Option<Subscription> {
        self.registry.poll_denied()
    }

    /// Where to connect to, if the protocol knows; subscriptions that the URL asks for are not
    /// asked for again. Whoever connects elsewhere does not call this. Asked after
    /// [`Action::Connect`].
    pub fn address(&mut self) -> Option<String> {
        let address = self.intake.protocol.address(&self.registry.wanted())?;
        if self.state == State::Connecting {
            self.registry.ride(address.carries);
        }
        Some(address.url)
    }

    /// Begins. Without effect if it has begun before.
    pub fn start(&mut self, now: Time) {
        if self.state == State::Idle {
            self.connect(now);
        }
    }

    /// The connection is made and the WebSocket handshake done. `leftover` are the bytes that came
    /// after it, `texts` what the user wants sent first (authentication, subscriptions).
    pub fn handle_connected(&mut self, now: Time, leftover: &[u8], texts: &[String]) {
        if self.state != State::Connecting {
            // Stopped meanwhile: the driver was told to disconnect.
            return;
        }
        self.state = State::Open;
        self.generation += 1;
        self.opened_at = now;
        self.has_data = false;
        self.silent = false;
        self.frames.reset();
        self.deferred.stalled = false;
        self.outgoing.clear();
        self.window.clear();
        self.requests.clear();
        self.intake.outbox.clear();
        self.timers.clear_all();
        self.leftover.clear();
        self.leftover.extend_from_slice(leftover);
        self.counters.bytes_received.add(leftover.len() as u64);
        self.counters.opens.bump();
        if self.generation > 1 {
            self.counters.reconnects.bump();
        }
        self.actions.push_back(Action::Opened {
            generation: self.generation,
        });
        self.registry.connected();
        self.touch(now);
        self.timers.set(
            Timer::Silent,
            now.after(self.config.settings().silent_after),
        );
        self.arm_heartbeat(now);

        let outbox = &mut self.intake.outbox;
        let queued = texts.iter().try_for_each(|text| outbox.push(text.as_str()));
        if queued
            .and_then(|()| self.intake.protocol.opened(outbox))
            .is_err()
        {
            return self.lose(now, Lost::Outgoing);
        }
        if !self.intake.protocol.is_ready() {
            let answer_timeout = self.config.settings().answer_timeout;
            self.timers.set(Timer::Ready, now.after(answer_timeout));
        }
        self.pump(now);
    }

    /// The attempt to connect failed.
    pub fn handle_failed(&mut self, now: Time) {
        if self.state == State::Connecting {
            self.counters.failures.bump();
            self.registry.disconnected();
            self.retry(now);
        }
    }

    /// As [`handle_failed`](Self::handle_failed), where the server asked to be left alone for
    /// `retry_after`: the next attempt waits for at least that, if it is no more than
    /// [`MAX_RETRY_AFTER`], and for that if it is.
    pub fn handle_refused(&mut self, now: Time, retry_after: Duration) {
        self.handle_failed(now);
        if let State::Waiting { until } = self.state {
            let until = until.max(now.after(retry_after.min(MAX_RETRY_AFTER)));
            self.timers.set(Timer::Reconnect, until);
            self.state = State::Waiting { until };
        }
    }

    /// The socket ended.
    pub fn handle_closed(&mut self, now: Time, how: Ended) {
        let reason = match how {
            Ended::Eof => Lost::Ended,
            Ended::Error => Lost::Failed,
        };
        match self.state {
            State::Open => self.lose(now, reason),
            State::Closing => self.finish(),
            _ => {}
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        action.or_else(|| self.registry.poll_settled().map(Action::Settled))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Deadlines have come, or not: does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.take_expired(now) {
            match timer {
                Timer::Reconnect => self.connect(now),
                Timer::Probe => {
                    self.outgoing.probe(&mut self.random, &self.counters);
                    self.window.note(now);
                    self.watch_writes(now);
                }
                Timer::Dead => self.lose(now, Lost::Dead),
                Timer::Stuck => {
                    if !self.outgoing.bytes().is_empty() {
                        self.lose(now, Lost::Stuck);
                    }
                }
                Timer::Silent => {
                    self.silent = true;
                    self.counters.silences.bump();
                    self.actions.push_back(Action::Silent);
                }
                Timer::Close => self.finish(),
                Timer::Heartbeat => {
                    self.intake.protocol.beat(&mut self.intake.outbox);
                    if self.intake.outbox.take_ping() {
                        self.outgoing.probe(&mut self.random, &self.counters);
                        self.window.note(now);
                    }
                    self.arm_heartbeat(now);
                    self.pump(now);
                }
                Timer::Send => self.pump(now),
                Timer::Answer => {
                    self.registry.expire(now);
                    self.timers.set(Timer::Answer, self.registry.deadline());
                }
                Timer::Ready => {
                    if !self.intake.protocol.is_ready() {
                        self.lose(now, Lost::NotReady);
                    }
                }
            }
        }
    }

    /// Stops for good: says goodbye if connected, and never connects again. Messages that come
    /// from now on are dropped.
    pub fn stop(&mut self, now: Time) {
        match self.state {
            State::Closing | State::Stopped => {}
            State::Open => {
                self.state = State::Closing;
                self.timers.clear_all();
                self.timers.set(
                    Timer::Close,
                    now.after(self.config.settings().close_timeout),
                );
                self.intake.outbox.clear();
                self.registry.stop();
                self.outgoing
                    .close(Some(NORMAL), &mut self.random, &self.counters);
                self.actions.push_back(Action::Lost(Lost::Stopped));
            }
            State::Connecting => self.finish(),
            State::Idle | State::Waiting { .. } => {
                self.end();
            }
        }
    }

    fn connect(&mut self, now: Time) {
        self.connects.note(now);
        self.state = State::Connecting;
        let attempt = self.failures.saturating_add(1);
        self.actions.push_back(Action::Connect { attempt });
    }

    #[cold]
    fn lose(&mut self, now: Time, reason: Lost) {
        let lived = now.since(self.opened_at);
        if self.has_data || lived >= self.config.settings().proved_after {
            self.failures = 0;
        }
        self.counters.losses.bump();
        self.silent = false;
        self.intake.outbox.clear();
        self.registry.disconnected();
        self.actions.push_back(Action::Lost(reason));
        self.actions.push_back(Action::Disconnect);
        self.retry(now);
    }

    fn retry(&mut self, now: Time) {
        self.failures = self.failures.saturating_add(1);
        let delay = self
            .config
            .settings()
            .backoff
            .delay(self.failures, self.random.next_u64());
        let until = now.after(delay).max(self.connects.free_at(now));
        self.timers.clear_all();
        self.timers.set(Timer::Reconnect, until);
        self.state = State::Waiting { until };
    }

    /// Ends what is under way, and with it everything.
    #[cold]
    fn finish(&mut self) {
        self.actions.push_back(Action::Disconnect);
        self.end();
    }

    fn end(&mut self) {
        self.registry.stop();
        while let Some(settled) = self.registry.poll_settled() {
            self.actions.push_back(Action::Settled(settled));
        }
        self.timers.clear_all();
        self.state = State::Stopped;
        self.actions.push_back(Action::Finished);
    }
}

#[cfg(test)]
mod tests;

//! Subscriptions of Binance spot through the machine: URL, requests, answers, reconnects.

use super::*;
use crate::feed::protocol::Subscription;

fn binance() -> BinanceSpot {
    BinanceSpot::new().base("ws://here")
}

fn streams(symbols: &[&str]) -> Vec<Subscription> {
    symbols
        .iter()
        .map(|symbol| Subscription::new("bookTicker", symbol))
        .collect()
}

fn settled(ticket: u64, result: Result<(), SubscribeError>) -> Action {
    Action::Settled(Settled {
        ticket: Some(Ticket(ticket)),
        result,
    })
}

#[test]
fn a_subscription_is_granted_by_the_answer_to_its_request() {
    let mut pair = Pair::open(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(5), streams(&["BTCUSDT", "ETHUSDT"]))
        .unwrap();
    let request = r#"text {"method":"SUBSCRIBE","params":["btcusdt@bookTicker","ethusdt@bookTicker"],"id":1}"#;
    assert_eq!(pair.sent(), [request]);
    assert_eq!(pair.actions(), []);
    pair.text(r#"{"result":null,"id":1}"#);
    assert_eq!(pair.actions(), [settled(5, Ok(()))]);
    pair.machine
        .unsubscribe(pair.now, Ticket(6), &streams(&["BTCUSDT"]))
        .unwrap();
    assert_eq!(
        pair.sent(),
        [r#"text {"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"],"id":2}"#]
    );
    pair.text(r#"{"id":2,"result":null}"#);
    assert_eq!(pair.actions(), [settled(6, Ok(()))]);
    // The next connection asks for what is left, in its URL.
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.pass(1000);
    assert_eq!(
        pair.machine.address().as_deref(),
        Some("ws://here/stream?streams=ethusdt@bookTicker")
    );
    pair.connect(&[]);
    assert_eq!(pair.sent(), [""; 0]);
    let values = pair.counters.snapshot();
    assert_eq!(values.control, 2);
    assert!(values.balanced());
}

#[test]
fn a_subscription_that_the_server_denies_fails_with_its_reason() {
    let mut pair = Pair::open(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(1), streams(&["NOPE"]))
        .unwrap();
    pair.text(r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#);
    let denied = SubscribeError::Denied("Invalid request".into());
    assert_eq!(pair.actions(), [settled(1, Err(denied))]);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.pass(1000);
    assert_eq!(pair.machine.address().as_deref(), Some("ws://here/stream"));
}

#[test]
fn a_subscription_without_a_connection_waits_for_one() {
    let mut pair = Pair::new(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(1), streams(&["BTCUSDT"]))
        .unwrap();
    pair.machine.start(pair.now);
    assert_eq!(pair.actions(), [Action::Connect { attempt: 1 }]);
    pair.connect(&[]);
    // The URL asked for it.
    assert_eq!(
        pair.actions(),
        [Action::Opened { generation: 1 }, settled(1, Ok(()))]
    );
    assert_eq!(pair.sent(), [""; 0]);
}

#[test]
fn whoever_connects_elsewhere_subscribes_by_message() {
    let mut pair = Pair::new(settings(), binance().ticker(["BTCUSDT"]));
    pair.machine.start(pair.now);
    pair.machine.handle_connected(pair.now, &[], &[]);
    assert_eq!(
        pair.sent(),
        [r#"text {"method":"SUBSCRIBE","params":["btcusdt@ticker"],"id":1}"#]
    );
}

#[test]
fn an_unanswered_subscription_fails_in_time_and_stays_wanted() {
    let mut pair = Pair::open(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(1), streams(&["BTCUSDT"]))
        .unwrap();
    pair.pass(9999);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(
        pair.actions(),
        [settled(1, Err(SubscribeError::Unanswered))]
    );
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.pass(1000);
    assert_eq!(
        pair.machine.address().as_deref(),
        Some("ws://here/stream?streams=btcusdt@bookTicker")
    );
}

#[test]
fn a_loss_before_the_answer_asks_again_on_the_next_connection() {
    let mut pair = Pair::open(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(1), streams(&["BTCUSDT"]))
        .unwrap();
    pair.machine.handle_closed(pair.now, Ended::Error);
    pair.pass(1000);
    pair.actions();
    pair.connect(&[]);
    assert_eq!(
        pair.actions(),
        [Action::Opened { generation: 2 }, settled(1, Ok(()))]
    );
}

#[test]
fn many_streams_go_out_in_requests_at_the_pace_of_the_server() {
    let symbols: Vec<_> = (0..1024).map(|n| format!("SYMBOL{n:04}USDT")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let mut pair = Pair::open(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(1), streams(&symbols))
        .unwrap();
    let mut seen = 0;
    let mut seconds = 0;
    let mut requests = 0;
    while seen < symbols.len() {
        let sent = pair.sent();
        assert!(sent.len() < 5, "{} messages at once", sent.len());
        for text in &sent {
            assert!(text.len() <= 4100, "{} bytes", text.len());
            seen += text.matches("@bookTicker").count();
            requests += 1;
            pair.text(&format!(r#"{{"result":null,"id":{requests}}}"#));
        }
        assert!(seconds < 10);
        pair.pass(1000);
        seconds += 1;
    }
    assert_eq!(seen, symbols.len());
    assert_eq!(pair.actions(), [settled(1, Ok(()))]);
    let error = SubscribeError::TooMany {
        limit: 1024,
        wanted: 1025,
    };
    let more = streams(&["ONEMORE"]);
    assert_eq!(
        pair.machine.subscribe(pair.now, Ticket(2), more),
        Err(error)
    );
    // The next connection carries what a URL holds and asks for the rest.
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.pass(1000);
    let url = pair.machine.address().expect("the protocol knows where");
    assert!(url.len() <= 4100);
    pair.machine.handle_connected(pair.now, &[], &[]);
    let mut again = url.matches("@bookTicker").count();
    for _ in 0..10 {
        again += pair
            .sent()
            .iter()
            .map(|text| text.matches("@bookTicker").count())
            .sum::<usize>();
        pair.pass(1000);
    }
    assert_eq!(again, symbols.len());
}

#[test]
fn what_cannot_be_asked_for_is_refused_at_once() {
    let mut pair = Pair::open(settings(), binance());
    let unknown = vec![Subscription::new("depth", "BTCUSDT")];
    let error = SubscribeError::UnknownChannel("depth".into());
    assert_eq!(
        pair.machine.subscribe(pair.now, Ticket(1), unknown),
        Err(error)
    );
    for bad in ["", "BTC USDT", "BTC\"", "btc@x", "a/b", "a?b", "\n"] {
        let refused = pair
            .machine
            .subscribe(pair.now, Ticket(1), streams(&["ETHUSDT", bad]));
        assert!(matches!(refused, Err(SubscribeError::BadId(..))), "{bad:?}");
    }
    assert_eq!(pair.sent(), [""; 0]);
    let mut events = events();
    let refused = events
        .machine
        .subscribe(events.now, Ticket(1), streams(&["BTCUSDT"]));
    assert_eq!(refused, Err(SubscribeError::Unsupported));
}

#[test]
fn bad_streams_from_the_start_are_refused_by_the_machine() {
    let counters = Arc::new(Counters::default());
    let protocol = binance().trade(["BTC USDT"]);
    let refused = Machine::new(Config::default(), protocol, counters, 1);
    assert!(matches!(refused, Err(SubscribeError::BadId(..))));
}

#[test]
fn stopping_settles_what_waits() {
    let mut pair = Pair::open(settings(), binance());
    pair.machine
        .subscribe(pair.now, Ticket(1), streams(&["BTCUSDT"]))
        .unwrap();
    pair.machine.stop(pair.now);
    let stopped = settled(1, Err(SubscribeError::Stopped));
    assert_eq!(pair.actions(), [Action::Lost(Lost::Stopped), stopped]);
    let late = pair
        .machine
        .subscribe(pair.now, Ticket(2), streams(&["BTCUSDT"]));
    assert_eq!(late, Err(SubscribeError::Stopped));
}

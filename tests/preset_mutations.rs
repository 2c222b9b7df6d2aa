//! What no venue has sent yet: small messages of every preset with members moved, repeated, left
//! out, of other types and too long, cut off, and with bits turned, from one seed.
//!
//! Whatever comes, nothing panics and both ledgers balance; a refused message changes nothing and
//! is counted once; a value is under the id that it names itself, or that stands in the message;
//! and the order of members means nothing.

mod kit;
mod mutation;

use std::collections::{BTreeMap, BTreeSet};

use kit::open;
use mutation::{Node, Rng};
use tickcache::feed::Protocol;
use tickcache::key::IdRef;
use tickcache::{Cache, Feed};

const SEED: u64 = 0x5eed_f00d;
/// Mutations of each message.
const ROUNDS: usize = 300;
/// Messages after which a cache is put aside, so that few ids have to be compared.
const FRESH: usize = 25;

/// Values by entity and id.
type State = BTreeMap<(String, String), String>;

fn state(cache: &Cache) -> State {
    let mut state = State::new();
    for entity in cache.entities() {
        for slot in entity.iter() {
            let value = slot.read_all(|view| view.record().to_json());
            let IdRef::Text(id) = slot.id().as_ref() else {
                panic!("ids of presets are texts: {}", slot.id());
            };
            let id = id.to_owned();
            state.insert((entity.name().to_owned(), id), value);
        }
    }
    state
}

/// A preset under test.
struct Preset<P> {
    name: &'static str,
    make: fn() -> Feed<P>,
    /// Where a value names its instrument: names of members, from the outside in.
    named: &'static [&'static [&'static str]],
    messages: &'static [&'static str],
    /// How many values the messages make.
    values: usize,
}

impl<P: Protocol> Preset<P> {
    fn after(&self, messages: &[&str]) -> State {
        let (cache, mut feed) = open((self.make)());
        for text in messages {
            feed.message_text(text)
                .unwrap_or_else(|refusal| panic!("{}: {text}: {refusal}", self.name));
        }
        assert!(feed.counters().balanced());
        let mut state = state(&cache);
        for value in state.values_mut() {
            *value = Node::parse(value).sorted().text();
        }
        state
    }

    /// Every change of a message is of an instrument that the message names.
    fn check_ids(&self, text: &[u8], before: &State, after: &State) {
        if before == after {
            return;
        }
        let text = std::str::from_utf8(text).expect("else it would be refused");
        let mut known = BTreeSet::new();
        Node::parse(text).texts(&mut known);
        for (key, value) in after {
            if before.get(key) == Some(value) {
                continue;
            }
            let (entity, id) = key;
            assert!(entity.starts_with(&format!("{}.", self.name)), "{text}");
            assert!(
                known.iter().any(|known| known.contains(&id.to_uppercase())),
                "{entity} {id:?} out of {text}"
            );
            let value = Node::parse(value);
            for path in self.named {
                let found = path.iter().try_fold(&value, |node, name| node.member(name));
                if let Some(own) = found.and_then(Node::unescaped) {
                    assert!(
                        own.eq_ignore_ascii_case(id),
                        "{entity} {id:?} names itself {own:?} out of {text}"
                    );
                }
            }
        }
    }

    /// Has a cache that holds what `held` say take these; how many were not refused.
    fn take(&self, held: &[&str], texts: &[Vec<u8>]) -> usize {
        let (cache, mut feed) = open((self.make)());
        for message in held {
            feed.message_text(message).expect("it was taken before");
        }
        let (mut before, mut taken) = ((state(&cache), feed.counters()), 0);
        for text in texts {
            let answer = feed.message(&mut text.clone());
            let after = (state(&cache), feed.counters());
            let shown = String::from_utf8_lossy(text);
            assert!(after.1.balanced(), "{shown}: {:?}", after.1);
            assert_eq!(after.1.messages, before.1.messages + 1, "{shown}");
            let refused = u64::from(answer.is_err());
            assert_eq!(after.1.refused, before.1.refused + refused, "{shown}");
            if answer.is_err() {
                assert_eq!(
                    after.0, before.0,
                    "refused, yet not without effect: {shown}"
                );
                assert_eq!(after.1.applied, before.1.applied, "{shown}");
            } else {
                taken += 1;
            }
            self.check_ids(text, &before.0, &after.0);
            before = after;
        }
        taken
    }

    fn hammer(&self) {
        let mut rng = Rng::new(SEED);
        assert_eq!(
            self.after(self.messages).len(),
            self.values,
            "{}",
            self.name
        );
        let (mut all, mut taken) = (0, 0);
        for message in self.messages {
            let tree = Node::parse(message);
            let whole = self.after(&[message]);
            for _ in 0..10 {
                let text = tree.clone().shuffled(&mut rng).text();
                assert_eq!(self.after(&[&text]), whole, "{message} as {text}");
            }
            let (cache, mut feed) = open((self.make)());
            for end in 0..message.len() {
                let refused = feed.message(&mut message.as_bytes()[..end].to_vec());
                assert!(refused.is_err(), "{}", &message[..end]);
            }
            assert_eq!(feed.counters().refused, message.len() as u64);
            assert!(state(&cache).is_empty());
            let mut texts: Vec<_> = (tree.clone().changes().into_iter())
                .map(|tree| tree.text().into_bytes())
                .collect();
            for _ in 0..ROUNDS {
                let mut tree = tree.clone();
                for _ in 0..=rng.below(3) {
                    tree.mutate(&mut rng);
                }
                let mut text = tree.text().into_bytes();
                if rng.below(8) == 0 {
                    let at = rng.below(text.len());
                    text[at] ^= 1 << rng.below(8);
                }
                texts.push(text);
            }
            all += texts.len();
            taken += (texts
                .chunks(FRESH)
                .map(|texts| self.take(self.messages, texts)))
            .sum::<usize>();
            // By itself each is news, whatever its number.
            for text in &texts {
                self.take(&[], std::slice::from_ref(text));
            }
        }
        // The mutations are not so wild that all are refused, nor so tame that all are taken.
        assert!(taken > all / 20 && taken < all, "{taken} of {all}");
    }
}

macro_rules! presets {
    ($($name:ident $text:literal $make:expr, $named:expr, $values:literal: $($message:literal)+)+) => {$(
        #[test]
        fn $name() {
            let preset = Preset {
                name: $text,
                make: || $make,
                named: &$named,
                messages: &[$($message),+],
                values: $values,
            };
            preset.hammer();
        }
    )+};
}

presets! {
    binance_spot "binance-spot" Feed::binance_spot(), [&["s"]], 5:
        r#"{"stream":"abcusdt@bookTicker","data":{"u":70,"s":"ABCUSDT","b":"1.20","B":"3","a":"1.30","A":"4"}}"#
        r#"{"u":71,"s":"DEFUSDT","b":"2.20","B":"3","a":"2.30","A":"4"}"#
        r#"{"stream":"abcusdt@trade","data":{"e":"trade","E":1700000000001,"s":"ABCUSDT","t":9,"p":"1.25","q":"2","T":1700000000000,"m":true}}"#
        r#"{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","E":1700000000002,"s":"ABCUSDT","c":"1.2","o":"1"},{"e":"24hrMiniTicker","E":1700000000002,"s":"DEFUSDT","c":"2.2","o":"2"}]}"#
        r#"{"stream":"abcusdt@depth","data":{"e":"depthUpdate","E":1700000000003,"s":"ABCUSDT","U":5,"u":6,"b":[["1.2","0"]],"a":[]}}"#
        r#"{"result":null,"id":1}"#
    binance_usdm "binance-usdm" Feed::binance_usdm(), [&["s"], &["o", "s"]], 3:
        r#"{"stream":"abcusdt@bookTicker","data":{"e":"bookTicker","u":70,"E":1700000000002,"T":1700000000001,"s":"ABCUSDT","b":"1.20","B":"3","a":"1.30","A":"4"}}"#
        r#"{"e":"markPriceUpdate","E":1700000000000,"s":"ABCUSDT","p":"1.24","i":"1.25","r":"0.0001","T":1700003600000}"#
        r#"{"stream":"abcusdt@forceOrder","data":{"e":"forceOrder","E":1700000000005,"o":{"s":"ABCUSDT","S":"SELL","q":"3","p":"1.2","T":1700000000004}}}"#
    binance_coinm "binance-coinm" Feed::binance_coinm(), [&["s"]], 2:
        r#"{"stream":"abcusd_perp@aggTrade","data":{"e":"aggTrade","E":1700000000002,"a":88,"s":"ABCUSD_PERP","p":"12.5","q":"3","f":1,"l":2,"T":1700000000001,"m":false}}"#
        r#"{"e":"24hrTicker","E":1700000000009,"s":"ABCUSD_PERP","ps":"ABCUSD","p":"1","P":"2","c":"12.5","C":1700000000008}"#
    bybit_linear "bybit-linear" Feed::bybit_linear(), [&["symbol"], &["s"]], 2:
        r#"{"topic":"tickers.ABCUSDT","type":"snapshot","data":{"symbol":"ABCUSDT","lastPrice":"1.2","bid1Price":"1.1","markPrice":""},"cs":70,"ts":1700000000000}"#
        r#"{"topic":"publicTrade.ABCUSDT","type":"snapshot","ts":1700000000001,"data":[{"T":1700000000000,"s":"ABCUSDT","S":"Buy","v":"1","p":"1.2","i":"a-1"}]}"#
        r#"{"success":true,"ret_msg":"","conn_id":"c","req_id":"1","op":"subscribe"}"#
    bybit_inverse "bybit-inverse" Feed::bybit_inverse(), [&["symbol"], &["s"]], 1:
        r#"{"topic":"tickers.ABCUSD","ts":1700000000000,"cs":70,"data":{"symbol":"ABCUSD","lastPrice":"1.2","nested":{"a":1,"b":null}},"type":"snapshot"}"#
    bybit_spot "bybit-spot" Feed::bybit_spot(), [&["symbol"], &["s"]], 1:
        r#"{"topic":"tickers.ABCUSDT","ts":1700000000000,"type":"snapshot","cs":7,"data":{"symbol":"ABCUSDT","lastPrice":"1.2","turnover24h":"3"}}"#
        r#"{"op":"pong","args":["1700000000000"],"conn_id":"c"}"#
    coinbase_exchange "coinbase-exchange" Feed::coinbase_exchange(), [&["product_id"]], 2:
        r#"{"type":"ticker","sequence":70,"product_id":"ABC-EUR","price":"1.2","best_bid":"1.1","side":"buy","time":"2023-11-14T22:13:20.000001Z","trade_id":9}"#
        r#"{"type":"match","trade_id":10,"sequence":71,"product_id":"ABC-EUR","price":"1.2","size":"3","time":"2023-11-14T22:13:20Z"}"#
        r#"{"type":"heartbeat","sequence":72,"last_trade_id":10,"product_id":"ABC-EUR","time":"2023-11-14T22:13:21Z"}"#
    coinbase_advanced "coinbase-advanced" Feed::coinbase_advanced(), [&["product_id"]], 3:
        r#"{"channel":"ticker","client_id":"","timestamp":"2023-11-14T22:13:20.000000001Z","sequence_num":0,"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"ABC-USD","price":"1.2"},{"type":"ticker","product_id":"DEF-USD","price":"2.2"}]}]}"#
        r#"{"channel":"market_trades","client_id":"","timestamp":"2023-11-14T22:13:20Z","sequence_num":1,"events":[{"type":"update","trades":[{"trade_id":"5","product_id":"ABC-USD","price":"1.2","size":"1","side":"BUY","time":"2023-11-14T22:13:20Z"}]}]}"#
        r#"{"channel":"heartbeats","client_id":"","timestamp":"2023-11-14T22:13:21Z","sequence_num":2,"events":[{"current_time":"x","heartbeat_counter":"3"}]}"#
    kraken_v1 "kraken-v1" Feed::kraken_v1(), [], 3:
        r#"[340,{"a":["1.3",4,"4.0"],"b":["1.2",3,"3.0"],"c":["1.25","2.0"]},"ticker","ABC/EUR"]"#
        r#"[341,[["1.25","2.0","1700000000.1","b","l",""]],"trade","ABC/EUR"]"#
        r#"[342,["1.2","1.3","1700000000.2","3.0","4.0"],"spread","ABC/EUR"]"#
        r#"{"event":"heartbeat"}"#
        r#"{"channelID":340,"channelName":"ticker","event":"subscriptionStatus","pair":"ABC/EUR","status":"subscribed","reqid":3,"subscription":{"name":"ticker"}}"#
    kraken_v2 "kraken-v2" Feed::kraken_v2(), [&["symbol"]], 3:
        r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ABC/USD","bid":1.20,"bid_qty":3.0,"ask":1.30,"ask_qty":4.0,"last":1.25,"timestamp":"2023-11-14T22:13:20.000001Z"},{"symbol":"DEF/USD","bid":2.2}]}"#
        r#"{"channel":"trade","type":"update","data":[{"symbol":"ABC/USD","side":"buy","price":1.25,"qty":2.0,"ord_type":"limit","trade_id":9,"timestamp":"2023-11-14T22:13:20Z"}]}"#
        r#"{"channel":"heartbeat"}"#
    kraken_futures "kraken-futures" Feed::kraken_futures(), [&["product_id"]], 3:
        r#"{"feed":"ticker","product_id":"PI_ABCUSD","time":1700000000000,"bid":1.2,"ask":1.3,"tag":"perpetual","pair":"ABC:USD"}"#
        r#"{"feed":"ticker_lite","product_id":"PI_ABCUSD","bid":1.2,"ask":1.3,"change":0.1,"maturityTime":0}"#
        r#"{"feed":"trade_snapshot","product_id":"PI_ABCUSD","trades":[{"feed":"trade","product_id":"PI_ABCUSD","uid":"u2","side":"buy","seq":9,"time":1700000000000,"qty":2,"price":1.2},{"feed":"trade","product_id":"PI_ABCUSD","uid":"u1","side":"sell","seq":8,"time":1699999999000,"qty":1,"price":1.1}]}"#
    okx "okx" Feed::okx(), [&["instId"]], 2:
        r#"{"arg":{"channel":"tickers","instId":"ABC-USDT"},"data":[{"instType":"SPOT","instId":"ABC-USDT","last":"1.2","askPx":"1.3","bidPx":"1.2","ts":"1700000000000"}]}"#
        r#"{"arg":{"channel":"trades","instId":"ABC-USDT"},"data":[{"instId":"ABC-USDT","tradeId":"7","px":"1.2","sz":"2","side":"buy","ts":"1700000000001","count":"1"}]}"#
        r#"{"event":"subscribe","arg":{"channel":"tickers","instId":"ABC-USDT"},"connId":"a4d3"}"#
    deribit "deribit" Feed::deribit(), [&["instrument_name"]], 3:
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.ABC-PERPETUAL.100ms","data":{"timestamp":1700000000000,"stats":{"high":null,"low":1.1},"instrument_name":"ABC-PERPETUAL","best_bid_price":1.2}}}"#
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"incremental_ticker.ABC-PERPETUAL","data":{"type":"snapshot","timestamp":1700000000000,"stats":{"high":1.4},"instrument_name":"ABC-PERPETUAL","best_bid_price":1.2}}}"#
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.ABC-PERPETUAL.100ms","data":[{"trade_seq":7,"trade_id":"t7","timestamp":1700000000000,"instrument_name":"ABC-PERPETUAL","price":1.2,"amount":3.0,"direction":"buy"}]}}"#
        r#"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}"#
    alpaca_stocks "alpaca-stocks" Feed::alpaca_stocks(), [&["S"]], 2:
        r#"[{"T":"q","S":"ABC","bx":"U","bp":1.2,"bs":1,"ax":"Q","ap":1.3,"as":4,"t":"2023-11-14T22:13:20.000000001Z","c":["R"],"z":"C"}]"#
        r#"[{"T":"t","S":"ABC","i":96,"x":"D","p":1.25,"s":1,"t":"2023-11-14T22:13:20Z","c":["@"],"z":"A"},{"T":"subscription","trades":["ABC"],"quotes":["ABC"]}]"#
    polygon_stocks "polygon-stocks" Feed::polygon_stocks(), [&["sym"]], 3:
        r#"[{"ev":"Q","sym":"ABC","bx":11,"bp":1.2,"bs":2,"ax":12,"ap":1.3,"as":1,"t":1700000000000,"q":70,"z":3}]"#
        r#"[{"ev":"T","sym":"ABC","i":"1","x":4,"p":1.25,"s":3,"t":1700000000001,"q":71,"z":3},{"ev":"AM","sym":"ABC","v":4,"o":1.2,"s":1700000000000,"e":1700000060000}]"#
        r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#
}

//! Bodies as the exchanges document them, against what their streams send.

use super::*;
use crate::feed::snapshot::{Snapshot, Taken};

#[track_caller]
fn take(snapshot: Option<Snapshot>, body: &str) -> Result<(String, Option<u64>), SnapshotError> {
    let snapshot = snapshot.expect("there is such a request");
    let Taken { value, as_of } = (snapshot.take)(body.as_bytes())?;
    Ok((String::from_utf8(value).expect("text"), as_of))
}

#[track_caller]
fn asks(snapshot: Option<Snapshot>, url: &str) {
    let snapshot = snapshot.expect("there is such a request");
    assert_eq!(format!("{}{}", snapshot.base, snapshot.path_and_query), url);
}

/// That the members of the value are those of a message of the stream, but for some.
#[track_caller]
fn names(value: &str, stream: &str, lacking: &[&str]) {
    let names = |text: &str| -> Vec<String> {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).expect("an object");
        object.keys().cloned().collect()
    };
    let mut expected = names(stream);
    expected.retain(|name| !lacking.contains(&&**name));
    assert_eq!(names(value), expected);
}

#[test]
fn binance_best_prices() {
    use super::super::binance::BinanceMarket as Market;
    use binance::snapshot;
    let spot = || snapshot(Market::Spot, "bookTicker", "BTCUSDT");
    asks(
        spot(),
        "https://api.binance.com/api/v3/ticker/bookTicker?symbol=BTCUSDT",
    );
    let body = r#"{"symbol":"BTCUSDT","bidPrice":"61685.99000000","bidQty":"1.25869000","askPrice":"61686.00000000","askQty":"2.44816000"}"#;
    let value = r#"{"s":"BTCUSDT","b":"61685.99000000","B":"1.25869000","a":"61686.00000000","A":"2.44816000"}"#;
    assert_eq!(take(spot(), body), Ok((value.into(), None)));
    let stream = r#"{"u":50093421613,"s":"BTCUSDT","b":"61685.99000000","B":"1.25869000","a":"61686.00000000","A":"2.44816000"}"#;
    names(value, stream, &["u"]);

    let usdm = || snapshot(Market::Usdm, "bookTicker", "BTCUSDT");
    let body = r#"{"symbol":"BTCUSDT","bidPrice":"4.0","bidQty":"431","askPrice":"4.2","askQty":"9","time":1589437530011,"lastUpdateId":1027024}"#;
    let value = r#"{"e":"bookTicker","u":1027024,"s":"BTCUSDT","b":"4.0","B":"431","a":"4.2","A":"9","T":1589437530011}"#;
    assert_eq!(take(usdm(), body), Ok((value.into(), Some(1_027_024))));
    let stream = r#"{"e":"bookTicker","u":5123107854706,"s":"BTCUSDT","b":"61800.20","B":"2.890","a":"61800.30","A":"1.088","T":1723161256523,"E":1723161256523}"#;
    names(value, stream, &["E"]);
    // The number is not documented everywhere.
    let body = body.replace(r#","lastUpdateId":1027024"#, "");
    let (value, as_of) = take(usdm(), &body).expect("a value");
    assert_eq!((value.contains(r#""u""#), as_of), (false, None));

    let coinm = || snapshot(Market::Coinm, "bookTicker", "BTCUSD_PERP");
    asks(
        coinm(),
        "https://dapi.binance.com/dapi/v1/ticker/bookTicker?symbol=BTCUSD_PERP",
    );
    let body = r#"[{"lastUpdateId":7,"symbol":"BTCUSD_PERP","pair":"BTCUSD","bidPrice":"1","bidQty":"2","askPrice":"3","askQty":"4","time":5}]"#;
    let value = r#"{"e":"bookTicker","u":7,"s":"BTCUSD_PERP","b":"1","B":"2","a":"3","A":"4","ps":"BTCUSD","T":5}"#;
    assert_eq!(take(coinm(), body), Ok((value.into(), Some(7))));
    let wrong = take(coinm(), "[]");
    assert!(matches!(wrong, Err(SnapshotError::Shape(_))), "{wrong:?}");
}

#[test]
fn binance_days() {
    use super::super::binance::BinanceMarket as Market;
    use binance::snapshot;
    let body = r#"{"symbol":"BNBBTC","priceChange":"-94.99999800","priceChangePercent":"-95.960","weightedAvgPrice":"0.29628482","prevClosePrice":"0.10002000","lastPrice":"4.00000200","lastQty":"200.00000000","bidPrice":"4.00000000","bidQty":"100.00000000","askPrice":"4.00000200","askQty":"101.00000000","openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1499783499040,"closeTime":1499869899040,"firstId":28385,"lastId":28460,"count":76}"#;
    let (value, as_of) = take(snapshot(Market::Spot, "ticker", "BNBBTC"), body).expect("a value");
    let stream = r#"{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":1675216573749,"F":0,"L":18150,"n":18151}"#;
    names(&value, stream, &["E"]);
    assert!(value.contains(r#""x":"0.10002000""#) && value.contains(r#""n":76"#));
    assert_eq!(as_of, None);
    let (value, _) = take(snapshot(Market::Spot, "miniTicker", "BNBBTC"), body).expect("a value");
    let stream = r#"{"e":"24hrMiniTicker","E":1,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"}"#;
    names(&value, stream, &["E"]);

    let coinm = r#"[{"symbol":"BTCUSD_200925","pair":"BTCUSD","priceChange":"136.6","priceChangePercent":"1.436","weightedAvgPrice":"9547.3","lastPrice":"9651.6","lastQty":"1","openPrice":"9515.0","highPrice":"9687.0","lowPrice":"9499.5","volume":"494109","baseVolume":"5192.94797687","openTime":1591170300000,"closeTime":1591256718418,"firstId":600507,"lastId":697803,"count":97297}]"#;
    let asked = snapshot(Market::Coinm, "ticker", "BTCUSD_200925");
    let (value, _) = take(asked, coinm).expect("a value");
    let stream = r#"{"e":"24hrTicker","E":1591268262453,"s":"BTCUSD_200629","ps":"BTCUSD","p":"-43.4","P":"-0.452","w":"0.00147974","c":"9548.5","Q":"2","o":"9591.9","h":"10000.0","l":"7000.0","v":"487850","q":"32968676323.46222700","O":1591181820000,"C":1591268262442,"F":512014,"L":615289,"n":103272}"#;
    names(&value, stream, &["E"]);
    assert!(snapshot(Market::Usdm, "trade", "X").is_none());
}

#[test]
fn bybit_spot() {
    let asked = || bybit::spot("tickers", "BTCUSDT");
    asks(
        asked(),
        "https://api.bybit.com/v5/market/tickers?category=spot&symbol=BTCUSDT",
    );
    let body = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","bid1Price":"20517.96","bid1Size":"2","ask1Price":"20527.77","ask1Size":"1.862172","lastPrice":"20533.13","prevPrice24h":"20393.48","price24hPcnt":"0.0068","highPrice24h":"21128.12","lowPrice24h":"20318.89","turnover24h":"243765620.65899866","volume24h":"11801.27771","usdIndexPrice":"20784.12009279"}]},"retExtInfo":{},"time":1673859087947}"#;
    let stream = r#"{"symbol":"BTCUSDT","lastPrice":"21109.77","highPrice24h":"21426.99","lowPrice24h":"20575","prevPrice24h":"20704.93","volume24h":"6780.866843","turnover24h":"141946527.22907118","price24hPcnt":"0.0196","usdIndexPrice":"21120.2400136"}"#;
    let (value, as_of) = take(asked(), body).expect("a value");
    names(&value, stream, &[]);
    assert_eq!(as_of, None);
    let refused = r#"{"retCode":10001,"retMsg":"Not supported symbols","result":{}}"#;
    let refused = take(asked(), refused).expect_err("refused");
    assert_eq!(
        refused,
        SnapshotError::Server("Not supported symbols".into())
    );
    let none = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[]}}"#;
    assert!(matches!(take(asked(), none), Err(SnapshotError::Shape(_))));
    assert!(bybit::spot("publicTrade", "BTCUSDT").is_none());
}

#[test]
fn okx_tickers() {
    let asked = || okx::snapshot("tickers", "BTC-USDT");
    asks(
        asked(),
        "https://www.okx.com/api/v5/market/ticker?instId=BTC-USDT",
    );
    let ticker = r#"{"instType":"SPOT","instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","ts":"1652459223003"}"#;
    let body = format!(r#"{{"code":"0","msg":"","data":[{ticker}]}}"#);
    assert_eq!(
        take(asked(), &body),
        Ok((ticker.into(), Some(1_652_459_223_003_000_000)))
    );
    let body = r#"{"code":"51001","msg":"Instrument ID does not exist","data":[]}"#;
    let refused = take(asked(), body).expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "the server says: Instrument ID does not exist"
    );
    assert!(okx::snapshot("books", "BTC-USDT").is_none());
}

#[test]
fn deribit_tickers() {
    let asked = || deribit::snapshot("ticker", "BTC-PERPETUAL");
    asks(
        asked(),
        "https://www.deribit.com/api/v2/public/ticker?instrument_name=BTC-PERPETUAL",
    );
    let ticker = r#"{"timestamp":1550652954406,"stats":{"volume":null,"low":0.10},"best_bid_price":3955.75,"instrument_name":"BTC-PERPETUAL"}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":8106,"result":{ticker},"usIn":1,"usOut":2}}"#);
    assert_eq!(
        take(asked(), &body),
        Ok((ticker.into(), Some(1_550_652_954_406_000_000)))
    );
    let body = r#"{"jsonrpc":"2.0","error":{"message":"instrument_not_found","code":13020}}"#;
    let refused = take(asked(), body).expect_err("refused");
    assert_eq!(
        refused,
        SnapshotError::Server("instrument_not_found".into())
    );
    assert!(deribit::snapshot("incremental_ticker", "BTC-PERPETUAL").is_none());
}

#[test]
fn alpaca_latest() {
    let asked = |channel| alpaca::snapshot(channel, "AAPL", "iex", ("key", "pass"));
    asks(
        asked("quotes"),
        "https://data.alpaca.markets/v2/stocks/AAPL/quotes/latest?feed=iex",
    );
    assert!(!format!("{:?}", asked("quotes")).contains("pass"));
    let body = r#"{"symbol":"AAPL","quote":{"t":"2021-02-22T15:51:44.208000000Z","ax":"Q","ap":87.68,"as":4,"bx":"U","bp":87.66,"bs":1,"c":["R"],"z":"C"}}"#;
    let (value, as_of) = take(asked("quotes"), body).expect("a value");
    let stream = r#"{"T":"q","S":"AAPL","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,"t":"2021-02-22T15:51:44.208Z","c":["R"],"z":"C"}"#;
    names(&value, stream, &[]);
    assert!(value.starts_with(r#"{"T":"q","S":"AAPL","t":"#));
    assert_eq!(as_of, Some(1_614_009_104_208_000_000));
    let body = r#"{"symbol":"AAPL","trade":{"t":"2021-02-06T13:35:08.946977536Z","x":"C","p":387.62,"s":100,"c":["@"],"i":52983525029461,"z":"A"}}"#;
    let (value, _) = take(asked("trades"), body).expect("a value");
    let stream = r#"{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208Z","c":["@","I"],"z":"C"}"#;
    names(&value, stream, &[]);
    assert!(asked("bars").is_none());
}

#[test]
fn what_is_not_as_documented_is_an_error_and_never_a_panic() {
    let all = [
        binance::snapshot(super::super::binance::BinanceMarket::Spot, "ticker", "X"),
        binance::snapshot(
            super::super::binance::BinanceMarket::Coinm,
            "bookTicker",
            "X",
        ),
        bybit::spot("tickers", "X"),
        okx::snapshot("tickers", "X"),
        deribit::snapshot("ticker", "X"),
        alpaca::snapshot("quotes", "X", "iex", ("", "")),
    ];
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "[{}]",
        "\"x\"",
        "<html>",
        r#"{"code":0}"#,
        r#"{"result":3}"#,
    ] {
        for snapshot in all.clone() {
            let taken = take(snapshot.clone(), body);
            assert!(taken.is_err(), "{body:?} {snapshot:?} {taken:?}");
        }
    }
}

#[test]
fn symbols_are_encoded_and_names_with_escapes_are_kept() {
    assert_eq!(encoded("BTC/USD&x=1 \u{e9}"), "BTC%2FUSD%26x%3D1%20%C3%A9");
    let members = Members::of(br#"{"a\"b":1.10, "c" : [ 1 ]}"#).expect("an object");
    let again = members.only(&["c", "a\"b"]).expect("both");
    assert_eq!(again, r#"{"c":[ 1 ],"a\"b":1.10}"#);
}

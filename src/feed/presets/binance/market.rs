//! Binance's markets, endpoints and routes.

/// One of Binance's markets: each has an endpoint of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BinanceMarket {
    /// Spot.
    #[default]
    Spot,
    /// Futures margined in USD.
    Usdm,
    /// Futures margined in coins.
    Coinm,
}

impl BinanceMarket {
    /// The channels that are mapped.
    pub(super) const fn channels(self) -> &'static [&'static str] {
        match self {
            Self::Spot => &[
                "bookTicker",
                "trade",
                "aggTrade",
                "ticker",
                "miniTicker",
                "avgPrice",
                "ticker_1h",
                "ticker_4h",
                "ticker_1d",
            ],
            Self::Usdm => &[
                "bookTicker",
                "trade",
                "aggTrade",
                "ticker",
                "miniTicker",
                "markPrice",
                "forceOrder",
            ],
            Self::Coinm => &[
                "bookTicker",
                "trade",
                "aggTrade",
                "ticker",
                "miniTicker",
                "markPrice",
                "indexPrice",
                "forceOrder",
            ],
        }
    }

    /// Streams of all symbols, which have no id.
    pub(super) const fn of_all(self) -> &'static [&'static str] {
        match self {
            // `!bookTicker` of spot was switched off in 2022.
            Self::Spot => &[
                "!ticker@arr",
                "!miniTicker@arr",
                "!ticker_1h@arr",
                "!ticker_4h@arr",
                "!ticker_1d@arr",
            ],
            Self::Usdm => &[
                "!ticker@arr",
                "!miniTicker@arr",
                "!bookTicker",
                "!markPrice@arr",
                "!markPrice@arr@1s",
                "!forceOrder@arr",
            ],
            Self::Coinm => &[
                "!ticker@arr",
                "!miniTicker@arr",
                "!bookTicker",
                "!forceOrder@arr",
            ],
        }
    }
}

/// Which of Binance's endpoints is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// `/stream`: each message names its stream.
    #[default]
    Combined,
    /// `/ws`: messages come bare, and are recognised by what they hold.
    Raw,
}

/// Which part of its streams a connection to USD-M futures can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinanceRoute {
    /// `/public`: `bookTicker` and `trade`.
    Public,
    /// `/market`: all others.
    Market,
}

impl BinanceRoute {
    /// The route of a channel.
    pub(super) fn of(channel: &str) -> Self {
        match channel_of_stream(channel) {
            "bookTicker" | "trade" => Self::Public,
            _ => Self::Market,
        }
    }

    /// What it adds to the base.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Public => "/public",
            Self::Market => "/market",
        }
    }
}

/// The channel of what is subscribed to: `markPrice` of `markPrice@1s` and of `!markPrice@arr`.
pub(super) fn channel_of_stream(channel: &str) -> &str {
    let rest = channel.strip_prefix('!').unwrap_or(channel);
    rest.split_once('@').map_or(rest, |(channel, _)| channel)
}

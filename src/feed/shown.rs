//! What may be shown, in logs, errors and `Debug`, of texts that others wrote: addresses without
//! their secrets, reasons of a server short and on one line.

/// The longest reason of a server that is kept, in characters.
const REASON: usize = 256;

/// A URL without its user name, password and query, which carry tokens. The path stays.
pub(crate) fn without_secrets(url: &str) -> String {
    let (url, cut) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], "?.."),
        None => (url, ""),
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}{cut}")
}

/// The reason that a server gives, as it is kept and logged: no longer than [`REASON`], and without
/// control characters, with which a server could write lines of its own into a log.
pub(super) fn reason(text: &str) -> Box<str> {
    let readable = |character: char| match character {
        character if character.is_control() => ' ',
        // Marks that turn the direction of what follows.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        character => character,
    };
    let short = text.chars().map(readable).take(REASON);
    short.collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_is_secret() {
        let check = |url, shown| assert_eq!(without_secrets(url), shown);
        check("wss://a.example/ws?token=t#f", "wss://a.example/ws?..");
        check("wss://me:pass@a.example:1/x", "wss://a.example:1/x");
        check("ws://a.example", "ws://a.example");
        check("ws://a.example?key=t", "ws://a.example?..");
    }

    #[test]
    fn reasons_stay_on_their_line() {
        assert_eq!(&*reason("wrong key"), "wrong key");
        assert_eq!(&*reason("a\n\u{1b}[31mERROR b"), "a  [31mERROR b");
        assert_eq!(reason(&"é".repeat(1000)).chars().count(), REASON);
    }
}

//! Options that do not go together: refused, since each would be ignored.

use super::{Command, Format, LiveArgs, Preset};

/// What is wrong with a command line that clap has passed, and the command it was typed for.
pub(super) fn problem(command: &Command) -> Option<(String, &'static str)> {
    let (text, name) = match command {
        Command::Bench(_) | Command::Demo(_) => return None,
        Command::Replay(args) => (given(&args.format).or_else(|| mode(&args.format)), "replay"),
        Command::Soak(args) => {
            let text = match args.capture {
                Some(_) => given(&args.format).or_else(|| mode(&args.format)),
                None => unused(&args.format),
            };
            (text, "soak")
        }
        Command::Watch(args) => {
            let urls = args.url.as_slice();
            let text = given(&args.format).or_else(|| live(&args.format, &args.live, urls));
            (text, "watch")
        }
        Command::Record(args) => {
            let twice = args.urls.iter().enumerate();
            let twice = twice
                .clone()
                .find(|(at, url)| args.urls[..*at].contains(url));
            let text = match twice {
                Some((_, url)) => Some(format!("{url} is given twice: leave one out")),
                None => live(&args.format, &args.live, &args.urls),
            };
            (text, "record")
        }
    };
    text.map(|text| (text, name))
}

/// Without a format nothing can be understood.
fn given(format: &Format) -> Option<String> {
    let none = format.preset.is_none() && format.envelope.is_none();
    none.then(|| "say how to read the messages: --preset PRESET or --envelope FILE".to_owned())
}

/// Without a recording nothing is to be understood.
fn unused(format: &Format) -> Option<String> {
    let any = *format != Format::default();
    any.then(|| {
        "how to read messages is for `--capture FILE` only: add one, or leave it out".to_owned()
    })
}

/// What only plain events have.
fn mode(format: &Format) -> Option<String> {
    let option = match (format.preset, format.merge, format.missing) {
        (Some(Preset::Events), ..) | (_, None, None) => return None,
        (_, Some(_), _) => "--merge",
        (_, None, Some(_)) => "--missing",
    };
    Some(format!(
        "{option} is for `--preset events` only: leave it out"
    ))
}

fn live(format: &Format, live: &LiveArgs, urls: &[String]) -> Option<String> {
    if let Some(text) = mode(format) {
        return Some(text);
    }
    let told = |text: &str| Some(text.to_owned());
    let knows_streams =
        format.envelope.is_some() || format.preset.is_some_and(|p| p != Preset::Events);
    if !live.streams.is_empty() && !knows_streams {
        return told(
            "--stream needs a preset of an exchange, or an envelope that says how to subscribe: \
             add one, or send a text of your own with --subscribe",
        );
    }
    if urls.is_empty() && !knows_streams {
        return told("say where to connect: give an address that begins with ws:// or wss://");
    }
    if urls.is_empty()
        && format.preset.is_some()
        && live.streams.is_empty()
        && live.subscribe.is_empty()
    {
        return told("say what to subscribe to, such as --stream ticker:BTC-USD,ETH-USD");
    }
    if live.ca.is_some() && urls.iter().any(|url| !url.starts_with("wss://")) {
        return told("--ca needs an address that begins with wss://: change one or leave out --ca");
    }
    None
}

//! How the engine reads the world, and an oracle that counts the gaps which a rule can see.

use std::collections::HashMap;

use serde_json::Value as Json;
use tickcache::Id;
use tickcache::feed::{
    Address, Answer, Asked, Claims, Class, Control, Covers, Outbox, Policy, Protocol, Refusal,
    Rule, Sequence, Sink, SubscribeError, Subscription, Update,
};
use tickcache::json::Message;

/// The wire format of the world, numbered by one rule.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) rule: Rule,
    pub(crate) url: String,
}

impl Protocol for Wire {
    fn name(&self) -> &str {
        "world"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: vec!["e".into()],
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        Some(Address {
            url: self.url.clone(),
            carries: 0,
        })
    }

    fn check(&self, _: &Subscription) -> Result<(), SubscribeError> {
        Ok(())
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        Some(("e".into(), Id::from(&*subscription.id)))
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        ask('+', request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        ask('-', request, unwanted, out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        let number = |name: &str| root.get(name).and_then(|value| value.u64());
        if self.rule == Rule::ContiguousPerConnection {
            sink.advance(number("c").ok_or(Refusal::BadSequence)?)?;
        }
        let whole = match root.get("k").and_then(|kind| kind.str()) {
            Some("beat") => return Ok(Class::Control(Control::Heartbeat)),
            Some("bye") => return Ok(Class::Control(Control::Closing)),
            Some("ok") => {
                let request = number("q").ok_or(Refusal::Shape)?;
                return Ok(Class::Control(Control::Granted(request)));
            }
            Some("whole") => true,
            Some("patch") => false,
            _ => return Err(Refusal::Shape),
        };
        let id = root.get("i").ok_or(Refusal::NoId)?;
        let id = id.id().map_err(|_| Refusal::BadId)?.ok_or(Refusal::NoId)?;
        let last = number("n").ok_or(Refusal::BadSequence)?;
        let sequence = Sequence {
            first: number("f").unwrap_or(last),
            last,
            previous: number("p"),
        };
        let update = if whole {
            Update::whole()
        } else {
            Update::patch()
        };
        let update = match self.rule {
            Rule::ContiguousPerConnection | Rule::None => update,
            rule => update.numbered(Policy::continuing(rule), sequence),
        };
        let value = root.get("v").ok_or(Refusal::NoPayload)?;
        let entity = sink.entity("e")?;
        sink.patch(entity, id, update, value)?;
        Ok(Class::Data)
    }
}

fn ask(
    verb: char,
    request: u64,
    of: &[&Subscription],
    out: &mut Outbox,
) -> Result<Asked, SubscribeError> {
    let ids: Vec<_> = of.iter().map(|it| &*it.id).collect();
    out.push(format!("{verb}{request} {}", ids.join(",")))?;
    Ok(Asked {
        count: of.len(),
        answer: Answer::Expected,
    })
}

/// The gaps that a rule can see in what was delivered, written from FEEDS' table of rules and
/// nothing else. For streams without fetches, whose numbers only streams move.
pub(crate) fn gaps(rule: Rule, log: &[(usize, String)]) -> u64 {
    let mut gaps = 0;
    let mut held: HashMap<String, u64> = HashMap::new();
    let mut place: Option<(usize, u64)> = None;
    for (connection, text) in log {
        let line: Json = serde_json::from_str(text).expect("nothing is corrupted");
        if rule == Rule::ContiguousPerConnection {
            let found = line["c"].as_u64().expect("a number");
            match place {
                Some((of, last)) if of == *connection => {
                    if found > last {
                        gaps += u64::from(found != last + 1);
                        place = Some((of, found));
                    }
                }
                _ => place = Some((*connection, found)),
            }
            continue;
        }
        let Some(key) = line["i"].as_str() else {
            continue;
        };
        let last = line["n"].as_u64().expect("a number");
        let whole = line["k"] == "whole";
        let Some(have) = held.get(key).copied() else {
            // A patch of what is not there is counted as missing, and says nothing about gaps.
            if whole {
                held.insert(key.to_owned(), last);
            }
            continue;
        };
        let follows = match rule {
            _ if whole => true,
            Rule::ContiguousPerKey => last == have + 1,
            Rule::ContiguousRange => line["f"].as_u64().expect("a first") <= have + 1,
            Rule::Chained => line["p"].as_u64() == Some(have),
            _ => true,
        };
        let restarts = whole
            && matches!(
                rule,
                Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained
            );
        if restarts {
            held.insert(key.to_owned(), last);
        } else if last > have {
            gaps += u64::from(!follows);
            held.insert(key.to_owned(), last);
        }
    }
    gaps
}

//! What the tests of slots have in common: patches from JSON, merging on plain values, dice.

use serde_json::{Map, Value as Json};

use crate::record::{Kind, Mode, Node, Patch, SchemaFull, SchemaSource, Token, Tree};
use crate::store::{EntityWriter, Missing, Outcome, Slot, Stamp, Store, StoreConfig};
use crate::sync::Arc;

/// Compiles a JSON value as the decoder does, but from a parsed one.
pub(super) fn compile(json: &Json, mode: Mode, schema: &mut impl SchemaSource) -> Patch {
    let mut patch = Patch::new();
    if walk(json, Node::ROOT, mode, 0, schema, &mut patch).is_err() {
        patch.set_tree(Tree::parse(&json.to_string()).expect("it was JSON"));
    }
    patch
}

fn walk(
    json: &Json,
    node: Node,
    mode: Mode,
    depth: u32,
    schema: &mut impl SchemaSource,
    patch: &mut Patch,
) -> Result<(), SchemaFull> {
    let text = json.to_string();
    let token = match json {
        Json::Object(members) => {
            patch.object(schema.layout(), node);
            for (name, member) in members {
                let child = match schema.layout().child(node, name) {
                    Some(child) => child,
                    None => schema.add(node, name)?,
                };
                walk(member, child, mode, depth + 1, schema, patch)?;
            }
            return Ok(());
        }
        Json::Null if mode == Mode::Merge && depth > 0 => {
            patch.delete(schema.layout(), node);
            return Ok(());
        }
        Json::Null => Token::new(Kind::Null, b"null"),
        Json::Bool(true) => Token::new(Kind::True, b"true"),
        Json::Bool(false) => Token::new(Kind::False, b"false"),
        Json::Number(_) => Token::new(Kind::Number, text.as_bytes()),
        Json::String(_) => Token::new(Kind::String, &text.as_bytes()[1..text.len() - 1]),
        Json::Array(_) => Token::new(Kind::Array, text.as_bytes()),
    };
    patch.set(schema, node, token);
    Ok(())
}

/// What `old` becomes by a message, on plain values.
pub(super) fn merged(old: Option<Json>, message: &Json, mode: Mode) -> Json {
    let Json::Object(members) = message else {
        return message.clone();
    };
    if mode == Mode::Replace {
        return message.clone();
    }
    let mut object = match old {
        Some(Json::Object(object)) => object,
        _ => Map::new(),
    };
    for (name, member) in members {
        if mode == Mode::Shallow {
            object.insert(name.clone(), member.clone());
        } else if member.is_null() {
            object.remove(name);
        } else {
            let old = object.remove(name);
            object.insert(name.clone(), merged(old, member, mode));
        }
    }
    Json::Object(object)
}

/// What the slot holds, as read whole.
pub(super) fn json_of(slot: &Slot) -> Option<Json> {
    slot.read_all(&mut Default::default(), |_, record| {
        (!record.is_absent()).then(|| serde_json::from_str(&record.to_json()).expect("JSON"))
    })
}

/// A store with one entity, and its owner.
pub(super) fn owner(config: StoreConfig) -> (Arc<Store>, EntityWriter) {
    let store = Store::new(config);
    let entity = store.entity("tests").expect("room");
    let writer = entity.claim("tests".into()).expect("nobody owns it");
    (store, writer)
}

/// Publishes a message, making its slot if there is none.
pub(super) fn publish(
    writer: &mut EntityWriter,
    id: &str,
    json: &Json,
    stamp: Stamp,
) -> (Arc<Slot>, Outcome) {
    let patch = compile(json, stamp.mode, writer.schema());
    let at = writer.locate(id.into(), Missing::Insert).expect("room");
    let outcome = writer.publish(at, &patch, &stamp);
    (writer.slot(at).expect("located").clone(), outcome)
}

/// A whole message.
pub(super) fn whole() -> Stamp {
    Stamp {
        mode: Mode::Replace,
        whole: true,
        ..Stamp::default()
    }
}

/// A generator that is the same everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

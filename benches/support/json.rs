//! Messages about an object of 20 fields, and RFC 7396 as each JSON library's user writes it.

use simd_json::OwnedValue;
use simd_json::prelude::*;

/// How many different messages a bench goes round with, so that each one changes the value.
pub(crate) const STEPS: usize = 16;

/// The whole object: 20 fields.
pub(crate) fn whole() -> String {
    r#"{"E":1723161468414,"s":"BTCUSDT","p":"-94.99999800","P":"-95.960","w":"61500.29628","x":"61932.10002000","c":"61837.63000000","Q":"10.0000000","b":"61837.62000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000","o":"61932.63000000","h":"62100.00000000","l":"60900.10000000","v":"8913.300000","O":1723075068414,"C":1723161468414,"F":3700000000,"n":18151}"#.to_owned()
}

/// The `step`th change of it: 6 fields.
pub(crate) fn change(step: usize) -> String {
    let step = step % STEPS;
    format!(
        r#"{{"E":17231614{step:05},"c":"618{step:02}.63000000","b":"618{step:02}.62000000","B":"3.788{step:02}000","a":"618{step:02}.64000000","A":"1.546{step:02}000"}}"#
    )
}

/// A change of one of its fields.
pub(crate) fn small_change(step: usize) -> String {
    format!(r#"{{"b":"618{:02}.62000000"}}"#, step % STEPS)
}

/// As [`change`], and with an array of ten levels, as books have them.
pub(crate) fn change_with_array(step: usize) -> String {
    let level = |number| format!(r#"["618{:02}.63000000","1.5{number}000000"]"#, step % STEPS);
    let levels: Vec<_> = (0..10).map(level).collect();
    let change = change(step);
    format!(
        r#"{},"levels":[{}]}}"#,
        change.trim_end_matches('}'),
        levels.join(",")
    )
}

/// An object of so many fields, all numbers; each step changes all of them.
pub(crate) fn fields(count: usize, step: usize) -> String {
    let field = |number| format!(r#""f{number}":"618{:02}.6{number:02}000""#, step % STEPS);
    let fields: Vec<_> = (0..count).map(field).collect();
    format!("{{{}}}", fields.join(","))
}

/// A message of the plain events: this payload for this id.
pub(crate) fn event(id: &str, payload: &str) -> Vec<u8> {
    event_of(super::ENTITY, id, payload)
}

/// The same for another entity.
pub(crate) fn event_of(entity: &str, id: &str, payload: &str) -> Vec<u8> {
    format!(r#"{{"entity":"{entity}","id":"{id}","payload":{payload}}}"#).into_bytes()
}

/// RFC 7396 on serde_json's values, with a patch that is used up.
pub(crate) fn merge_serde(target: &mut serde_json::Value, patch: serde_json::Value) {
    use serde_json::Value;
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    for (name, value) in patch {
        let target = serde_object(target);
        if value.is_null() {
            target.remove(&name);
        } else if value.is_object() {
            merge_serde(target.entry(name).or_insert(Value::Null), value);
        } else {
            target.insert(name, value);
        }
    }
}

/// The same with a patch that is kept.
pub(crate) fn merge_serde_ref(target: &mut serde_json::Value, patch: &serde_json::Value) {
    use serde_json::Value;
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = serde_object(target);
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else if value.is_object() {
            merge_serde_ref(target.entry(name.as_str()).or_insert(Value::Null), value);
        } else if let Some(old) = target.get_mut(name) {
            *old = value.clone();
        } else {
            target.insert(name.clone(), value.clone());
        }
    }
}

fn serde_object(target: &mut serde_json::Value) -> &mut serde_json::Map<String, serde_json::Value> {
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    target.as_object_mut().expect("made one")
}

/// RFC 7396 on simd-json's values, with a patch that is used up.
pub(crate) fn merge_simd(target: &mut OwnedValue, patch: OwnedValue) {
    let OwnedValue::Object(patch) = patch else {
        *target = patch;
        return;
    };
    let target = simd_object(target);
    for (name, value) in *patch {
        if value.is_null() {
            target.remove(&name);
        } else if value.is_object() {
            merge_simd(target.entry(name).or_insert(OwnedValue::null()), value);
        } else {
            target.insert(name, value);
        }
    }
}

/// The same with a patch that is kept.
pub(crate) fn merge_simd_ref(target: &mut OwnedValue, patch: &OwnedValue) {
    let OwnedValue::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = simd_object(target);
    for (name, value) in patch.iter() {
        if value.is_null() {
            target.remove(name);
        } else if value.is_object() {
            merge_simd_ref(
                target.entry(name.clone()).or_insert(OwnedValue::null()),
                value,
            );
        } else if let Some(old) = target.get_mut(name) {
            *old = value.clone();
        } else {
            target.insert(name.clone(), value.clone());
        }
    }
}

fn simd_object(target: &mut OwnedValue) -> &mut simd_json::owned::Object {
    if !target.is_object() {
        *target = OwnedValue::object();
    }
    target.as_object_mut().expect("made one")
}

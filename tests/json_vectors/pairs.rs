//! From each of some documents to each other one: the patch that RFC 7396 has for it is made, merged,
//! and what is shown then has to be the other document. What such a patch cannot say (that a member is
//! null) is in none of them.

use crate::merge::Merger;
use crate::tree::Tree;

/// Flat and deep, empty and full, the same members with other kinds of values.
const DOCUMENTS: [&str; 20] = [
    "{}",
    r#"{"a":1}"#,
    r#"{"a":1.0}"#,
    r#"{"a":"1"}"#,
    r#"{"a":[1]}"#,
    r#"{"a":{}}"#,
    r#"{"a":{"a":1}}"#,
    r#"{"a":{"a":{"a":{"a":"a"}}}}"#,
    r#"{"":"","a":{"":{"":0}}}"#,
    r#"{"bid":"43000.10","ask":"43000.20","size":{"bid":"1.5","ask":"0.25"}}"#,
    r#"{"bid":"43000.10","ask":"43000.30","size":{"bid":"1.5"},"trades":[]}"#,
    r#"{"size":{"bid":{"shown":1,"hidden":2},"ask":"none"},"bid":false}"#,
    r#"{"a/b":1,"a~b":2,"a.b":3,"a":{"b":4}}"#,
    r#"{"é":"ü","😀":"\ud83d\ude00","\u0000":"\u0000"}"#,
    r#"{"list":[{"a":null},null,[null]],"a":true}"#,
    r#"{"list":[{"a":null},null,[null,1]],"a":false}"#,
    r#"{"n":123456789012345678901234567890,"m":-0,"e":1e400}"#,
    r#"{"text":"a text that does not fit a cell by far, and then some","n":"fifteen bytes.."}"#,
    r#"{"m00":0,"m01":1,"m02":2,"m03":3,"m04":4,"m05":5,"m06":6,"m07":7,"m08":8,"m09":9,"m10":10,"m11":11,"m12":12,"m13":13,"m14":14,"m15":15,"m16":16,"m17":17,"m18":18,"m19":19,"m20":20,"m21":21,"m22":22,"m23":23,"m24":24,"m25":25,"m26":26,"m27":27,"m28":28,"m29":29,"m30":30,"m31":31,"m32":32}"#,
    r#"{"m00":0,"m32":{"m00":0,"a":[]},"a":{"a":{"b":{}}}}"#,
];

/// The patch that makes `new` of `old`, where one is needed.
fn difference(old: &Tree, new: &Tree) -> Option<Tree> {
    let (Tree::Object(olds), Tree::Object(news)) = (old, new) else {
        // What becomes an object is begun anew by merging into what is none.
        return (old != new).then(|| new.clone());
    };
    let gone = olds
        .keys()
        .filter(|name| !news.contains_key(*name))
        .map(|name| (name.clone(), Tree::Token("null".to_owned())));
    let changed = news.iter().filter_map(|(name, new)| {
        let change = match olds.get(name) {
            Some(old) => difference(old, new),
            None => Some(new.clone()),
        };
        change.map(|change| (name.clone(), change))
    });
    let patch: std::collections::BTreeMap<_, _> = gone.chain(changed).collect();
    (!patch.is_empty()).then_some(Tree::Object(patch))
}

#[test]
fn from_every_document_to_every_other() {
    let documents = DOCUMENTS.map(|text| Tree::parse(text).expect("JSON"));
    let mut pairs = 0;
    for (from, old) in DOCUMENTS.iter().zip(&documents) {
        // Names are learned for good: each has a schema of its own.
        let mut merger = Merger::new();
        for (id, (to, new)) in (0..).zip(DOCUMENTS.iter().zip(&documents)) {
            merger.set(id, from);
            let before = merger.slot(id).epoch();
            let Some(patch) = difference(old, new) else {
                assert_eq!(from, to, "the only pair without a difference");
                continue;
            };
            merger.merge(id, &patch.to_string());
            assert_eq!(merger.shown(id).as_ref(), Some(new), "{from} and {patch}");
            assert!(merger.slot(id).epoch() > before, "{from} and {patch}: news");
            pairs += 1;
        }
    }
    assert_eq!(pairs, DOCUMENTS.len() * (DOCUMENTS.len() - 1));
}

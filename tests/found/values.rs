//! Everything that anybody can see of a cache.

use tickcache::Cache;

/// Key, value and epoch of every slot with a value, in order.
pub(crate) fn values(cache: &Cache) -> Vec<(String, String, u64)> {
    let mut all = Vec::new();
    for entity in cache.entities() {
        for slot in entity.iter() {
            let text = slot.snapshot().record().to_json();
            let key = format!("{} {:?}", entity.name(), slot.id());
            all.push((key, text, slot.epoch()));
        }
    }
    all.sort();
    all
}

//! skeleton

mod changes;
mod wake;

#[cfg(test)]
mod tests;

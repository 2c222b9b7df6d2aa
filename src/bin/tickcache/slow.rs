mod check;
mod stream;

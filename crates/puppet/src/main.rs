//! puppet
fn main() {}

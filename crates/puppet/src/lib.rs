//! puppet

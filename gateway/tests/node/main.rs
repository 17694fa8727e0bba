//! A node in network namespaces of its own: root, and what `make e2e` installs.

mod e2e;
mod intercept;

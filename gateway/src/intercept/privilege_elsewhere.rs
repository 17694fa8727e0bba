//! A system other than Linux has no capabilities, and no nftables either.

#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error("only Linux has the privileges that this command gives up; run it on a node")]
    NotLinux,
}

pub fn keep_only_net_admin() -> Result<(), PrivilegeError> {
    Err(PrivilegeError::NotLinux)
}

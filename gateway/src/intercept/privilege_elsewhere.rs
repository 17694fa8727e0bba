//! Where there are no capabilities, as on a laptop that is no Linux, there is no nftables either.

#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error("only Linux has the privileges that are to be given up; run this on a node")]
    NotLinux,
}

pub fn keep_only_net_admin() -> Result<(), PrivilegeError> {
    Err(PrivilegeError::NotLinux)
}

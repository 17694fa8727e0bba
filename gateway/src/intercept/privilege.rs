//! The privileges of a watcher: it may change this node's network rules, and nothing else that root may.

use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
        configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error("CAP_NET_ADMIN is missing; give the container NET_ADMIN, or run this as root")]
    NoNetAdmin,
    #[error("cannot give up privileges: {doing}: {source}")]
    Kernel { doing: &'static str, source: std::io::Error },
}

/// Leaves this thread, and those that it starts, with CAP_NET_ADMIN only, so call it before other threads exist.
/// Programs that it starts have no more either, whoever owns them.
pub fn keep_only_net_admin() -> Result<(), PrivilegeError> {
    let kernel = |doing| move |source: Errno| PrivilegeError::Kernel { doing, source: source.into() };
    let net_admin = CapabilitySet::NET_ADMIN;
    let current = capabilities(None).map_err(kernel("reading capabilities"))?;
    if !current.permitted.contains(net_admin) {
        return Err(PrivilegeError::NoNetAdmin);
    }
    // First, as it ensures that no program started from here has more capabilities than this process.
    set_no_new_privs(true).map_err(kernel("setting no_new_privs"))?;
    clear_ambient_capability_set().map_err(kernel("clearing the ambient set"))?;
    empty_bounding_set(net_admin).map_err(kernel("emptying the bounding set"))?;
    // Inheritable and ambient, so that nft has the capability where this process is not root. Root's programs have it
    // anyway, so a kernel that forbids both sets (securebits) is no reason to stop.
    let sets = CapabilitySets { effective: net_admin, permitted: net_admin, inheritable: net_admin };
    let inherited = set_capabilities(None, sets).and_then(|()| configure_capability_in_ambient_set(net_admin, true));
    match inherited {
        Err(Errno::PERM) => set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..sets })
            .map_err(kernel("dropping capabilities")),
        done => done.map_err(kernel("dropping capabilities")),
    }
}

/// Needs CAP_SETPCAP, which a container with NET_ADMIN alone does not have. Its bounding set is as small already, and
/// no_new_privs keeps programs from gaining what is in it.
fn empty_bounding_set(except: CapabilitySet) -> Result<(), Errno> {
    for index in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << index);
        // The kernel refuses numbers beyond its last capability.
        if capability == except || !capability_is_in_bounding_set(capability).unwrap_or(false) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Err(Errno::PERM) => return Ok(()),
            done => done?,
        }
    }
    Ok(())
}

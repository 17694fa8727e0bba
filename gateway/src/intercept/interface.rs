//! The network interfaces that this node has.

/// The interfaces of this network namespace, in the kernel's order. `/sys/class/net` may belong to another namespace.
pub fn existing() -> std::io::Result<Vec<String>> {
    let table = std::fs::read_to_string("/proc/self/net/dev")?;
    Ok(table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_exists() {
        assert!(existing().unwrap().iter().any(|interface| interface == "lo"));
    }
}

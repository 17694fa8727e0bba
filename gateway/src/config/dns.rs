//! Kubernetes' own names (RFC 1123, as in `k8s.io/apimachinery/pkg/util/validation`).

/// 1 to 63 of `a-z 0-9 -`, neither the first nor the last is `-`. Namespaces are labels.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len()) && is_part(text)
}

/// Parts joined by dots, 253 characters at most. Pods, service accounts and nodes are subdomains.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        assert!(is_label("a-1") && !is_label("a.b") && !is_label("-a") && !is_label("A") && !is_label(""));
        assert!(!is_label(&"a".repeat(64)) && is_subdomain(&"a".repeat(64)));
        assert!(is_subdomain("checkout-0.payments") && !is_subdomain("a..b") && !is_subdomain("a_b"));
        assert!(!is_subdomain(&"a.".repeat(127)) && !is_subdomain(&"a".repeat(254)));
    }
}

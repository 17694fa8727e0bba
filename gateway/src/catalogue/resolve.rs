//! Resolves a path: requests, listings and `explain` all use it.

use super::{AllowList, Catalogue, Entry, Listing};

/// What a path below a version is, given `imds.allow`.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolved {
    /// An entry that `imds.allow` admits.
    Entry(Entry),
    /// An entry that `imds.allow` does not admit.
    NotAllowed(Entry),
    Directory(Directory),
    /// Not a path that any pod may read.
    Unknown,
}

/// A directory with the names that it may list. Policy decides which of them a pod sees.
#[derive(Debug, PartialEq, Eq)]
pub struct Directory {
    segments: Vec<String>,
    listing: Option<Listing>,
    own: Own,
}

/// Names that the gateway itself adds to a directory of the catalogue: they lead to the pod's own role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Nothing,
    /// Listed for every pod.
    ForEveryPod(&'static str),
    /// Listed for pods that have a role, and left out for others.
    ForPodsWithRole(&'static str),
    /// The only names of the directory. A pod without a role is refused with the reason.
    OfRole([&'static str; 2]),
}

impl Catalogue {
    /// Resolves canonical segments below a version.
    pub fn resolve(segments: &[&str], allow: &AllowList) -> Resolved {
        if let Some(entry) = Self::find(segments) {
            return if allow.admits(&entry) { Resolved::Entry(entry) } else { Resolved::NotAllowed(entry) };
        }
        let (listing, own) = (Self::listing(segments, allow), Own::at(segments));
        if listing.is_none() && own == Own::Nothing {
            return Resolved::Unknown;
        }
        let segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
        Resolved::Directory(Directory { segments, listing, own })
    }
}

impl Directory {
    /// The catalogue's names that `imds.allow` admits; None where the catalogue has no such directory.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    pub fn own(&self) -> Own {
        self.own
    }

    /// The path of a listed name.
    pub fn path_of(&self, name: &str) -> String {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        Catalogue::path_of(&segments, name)
    }
}

impl Own {
    fn at(segments: &[&str]) -> Self {
        match segments {
            [] => Self::ForEveryPod("meta-data"),
            ["meta-data"] => Self::ForPodsWithRole("iam/"),
            ["meta-data", "iam"] => Self::OfRole(["info", "security-credentials/"]),
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(path: &str, allow: &[&str]) -> Resolved {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
        Catalogue::resolve(&segments, &AllowList::parse(&allow).unwrap())
    }

    fn own(path: &str, allow: &[&str]) -> Option<Own> {
        match resolved(path, allow) {
            Resolved::Directory(directory) => Some(directory.own()),
            _ => None,
        }
    }

    #[test]
    fn an_entry_is_told_apart_by_whether_it_is_allowed() {
        let region = "meta-data/placement/region";
        assert!(matches!(resolved(region, &["placement"]), Resolved::Entry(entry) if entry.path() == region));
        assert!(matches!(resolved(region, &["mac"]), Resolved::NotAllowed(entry) if entry.path() == region));
    }

    #[test]
    fn what_leads_to_the_role_is_there_whatever_is_allowed() {
        for allow in [&[][..], &["placement"]] {
            assert_eq!(own("", allow), Some(Own::ForEveryPod("meta-data")));
            assert_eq!(own("meta-data", allow), Some(Own::ForPodsWithRole("iam/")));
            assert_eq!(own("meta-data/iam", allow), Some(Own::OfRole(["info", "security-credentials/"])));
        }
    }

    #[test]
    fn a_directory_of_which_nothing_is_allowed_is_unknown_like_what_is_not_there() {
        assert_eq!(own("meta-data/placement", &["placement/region"]), Some(Own::Nothing));
        for path in ["meta-data/placement", "dynamic", "meta-data/iam/x", "meta-data/identity-credentials", "api"] {
            assert_eq!(resolved(path, &["mac"]), Resolved::Unknown, "{path}");
        }
    }

    #[test]
    fn a_listed_name_leads_below_its_directory() {
        let Resolved::Directory(keys) = resolved("meta-data/public-keys", &["public-keys"]) else { panic!() };
        assert_eq!(keys.path_of("0=my key"), "meta-data/public-keys/0");
        let Resolved::Directory(root) = resolved("", &["user-data"]) else { panic!() };
        assert_eq!(root.path_of("user-data"), "user-data");
    }
}

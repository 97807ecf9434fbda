//! OpenStack's releases, and which one is installed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// In order. Ocata is 2017.1.
const NAMES: [&str; 20] = [
    "ocata", "pike", "queens", "rocky", "stein", "train", "ussuri", "victoria", "wallaby", "xena",
    "yoga", "zed", "2023.1", "2023.2", "2024.1", "2024.2", "2025.1", "2025.2", "2026.1", "2026.2",
];

/// The names that go with numbers (<https://releases.openstack.org>).
const ALSO: [(&str, &str); 7] = [
    ("antelope", "2023.1"),
    ("bobcat", "2023.2"),
    ("caracal", "2024.1"),
    ("dalmatian", "2024.2"),
    ("epoxy", "2025.1"),
    ("flamingo", "2025.2"),
    ("gazpacho", "2026.1"),
];

/// A project's major version in Ocata; each release has the next (placement begins with Stein).
const MAJOR_IN_OCATA: [(&str, i64); 7] = [
    ("nova", 15),
    ("neutron", 10),
    ("cinder", 10),
    ("glance", 14),
    ("keystone", 11),
    ("heat", 8),
    ("placement", -3),
];

/// A release, from Ocata to 2026.2; earlier is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u8);

#[allow(missing_docs)]
impl Release {
    pub const PIKE: Release = Release(1);
    pub const QUEENS: Release = Release(2);
    pub const STEIN: Release = Release(4);
    pub const TRAIN: Release = Release(5);
    pub const USSURI: Release = Release(6);
    pub const YOGA: Release = Release(10);
    pub const R2024_1: Release = Release(14);
    pub const R2025_2: Release = Release(17);
    pub const R2026_2: Release = Release(19);
    pub const NEWEST: Release = Release(19);
    /// After all that are known.
    pub(crate) const NEVER: Release = Release(20);
}

impl Release {
    /// What a project's version says: `2:26.2.2-1~deb12u5` of nova is Zed.
    fn of(project: &str, version: &str) -> Option<Release> {
        let (_, ocata) = MAJOR_IN_OCATA.iter().find(|(name, _)| *name == project)?;
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        let major: i64 = version.split('.').next()?.parse().ok()?;
        u8::try_from(major - ocata)
            .ok()
            .filter(|at| usize::from(*at) < NAMES.len())
            .map(Release)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[usize::from(self.0)])
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Release, String> {
        let wanted = text.to_lowercase();
        let wanted = ALSO
            .iter()
            .find(|(name, _)| *name == wanted)
            .map_or(wanted.as_str(), |(_, n)| n);
        let at = NAMES.iter().position(|name| *name == wanted);
        let at = at.and_then(|at| u8::try_from(at).ok());
        at.map(Release)
            .ok_or_else(|| format!("it must be one of {}", NAMES.join(", ")))
    }
}

/// What is installed, as far as dpkg's status tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packages(BTreeMap<String, String>);

impl Packages {
    /// Reads `/var/lib/dpkg/status`: the packages that are installed, with their versions.
    pub(crate) fn parse(status: &str) -> Packages {
        let mut out = BTreeMap::new();
        for paragraph in status.split("\n\n") {
            let field = |name: &str| {
                let lines = paragraph.lines().filter_map(|l| l.split_once(": "));
                lines
                    .clone()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| v.trim())
            };
            let installed = field("Status").is_some_and(|s| s.ends_with(" installed"));
            if let (true, Some(package), Some(version)) =
                (installed, field("Package"), field("Version"))
            {
                out.insert(package.to_owned(), version.to_owned());
            }
        }
        Packages(out)
    }

    pub(crate) fn has(&self, package: &str) -> bool {
        self.0.contains_key(package)
    }

    /// A project's release, by its packages.
    pub(crate) fn release(&self, project: &str) -> Option<Release> {
        let names = [
            project.to_owned(),
            format!("{project}-common"),
            format!("python3-{project}"),
        ];
        names
            .iter()
            .find_map(|name| Release::of(project, self.0.get(name)?))
    }
}

/// Which release each project is of.
#[derive(Clone, Debug)]
pub(crate) struct Releases {
    said: Option<Release>,
    packages: Packages,
}

impl Releases {
    pub(crate) fn new(said: Option<Release>, packages: Packages) -> Releases {
        Releases { said, packages }
    }

    /// The release that was told, else the installed one, else the newest.
    pub(crate) fn of(&self, project: &str) -> Release {
        self.said
            .or_else(|| self.packages.release(project))
            .unwrap_or(Release::NEWEST)
    }

    /// Whether nothing but an assumption stands behind it.
    pub(crate) fn assumed(&self, project: &str) -> bool {
        self.said.is_none() && self.packages.release(project).is_none()
    }

    pub(crate) fn packages(&self) -> &Packages {
        &self.packages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_tell_releases() {
        let check = |project: &str, version: &str, expected: &str| {
            let seen = Release::of(project, version)
                .map(|r| r.to_string())
                .unwrap_or_default();
            assert_eq!(seen, expected, "{project} {version}");
        };
        check("nova", "2:26.2.2-1~deb12u5", "zed");
        check("cinder", "15.0.0", "train");
        check("placement", "8.0.0-2", "zed");
        check("heat", "1:19.0.0-3", "zed");
        check("glance", "32.0.0", "2026.1");
        check("nova", "1.0", "");
        check("horizon", "23.0", "");
        assert_eq!("Epoxy".parse::<Release>(), "2025.1".parse());
        assert!("icehouse".parse::<Release>().is_err());
        assert!(Release::TRAIN < Release::YOGA && Release::NEWEST.to_string() == "2026.2");
    }

    #[test]
    fn only_installed_packages_count() {
        let status = "Package: nova-common\nStatus: install ok installed\nVersion: 2:26.2.2-1\n\nPackage: heat-common\nStatus: deinstall ok config-files\nVersion: 1:19.0.0-3\n";
        let packages = Packages::parse(status);
        assert_eq!(
            packages.release("nova").map(|r| r.to_string()).as_deref(),
            Some("zed")
        );
        assert!(packages.release("heat").is_none() && !packages.has("heat-common"));
    }
}

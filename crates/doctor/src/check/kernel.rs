//! sysctl, and radvd, which depends on it.

use std::collections::BTreeMap;

use crate::exam::{Exam, found};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

/// Settings of the kernel as they will be, with where each is said.
struct Sysctl(BTreeMap<String, (File, Setting)>);

impl Sysctl {
    /// By systemd-sysctl's rules: files of all directories in the order of their names, of two with
    /// one name only that of /etc; and /etc/sysctl.conf last, as procps has it.
    fn read(exam: &Exam) -> Sysctl {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for directory in ["/usr/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"] {
            for name in exam
                .tree
                .names(directory)
                .into_iter()
                .filter(|name| name.ends_with(".conf"))
            {
                files.insert(name.clone(), format!("{directory}/{name}"));
            }
        }
        let mut out = BTreeMap::new();
        for path in files.into_values().chain(["/etc/sysctl.conf".to_owned()]) {
            let Some(file) = exam.tree.file(&path) else {
                continue;
            };
            for setting in parse::pairs(&file.text) {
                out.insert(setting.key.replace('/', "."), (file.clone(), setting));
            }
        }
        Sysctl(out)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.0
            .get(key)
            .is_some_and(|(_, setting)| setting.value == value)
    }

    /// Whether an interface forwards; `all` is for all of them.
    fn forwards(&self, interface: &str) -> bool {
        let one = |name: &str| self.is(&format!("net.ipv6.conf.{name}.forwarding"), "1");
        one("all") || one(interface)
    }
}

/// Whether a socket on `::` takes clients of both families on this host. Where it does not, no
/// socket is changed unasked.
pub(super) fn takes_both(exam: &Exam) -> bool {
    let v6only = Sysctl::read(exam).is("net.ipv6.bindv6only", "1");
    let grub = exam.tree.file("/etc/default/grub");
    !v6only && !grub.is_some_and(|file| file.text.contains("ipv6.disable=1"))
}

pub(super) fn check(exam: &mut Exam) {
    let sysctl = Sysctl::read(exam);
    for (key, (file, setting)) in &sysctl.0 {
        let parts: Vec<&str> = key.split('.').collect();
        let ["net", "ipv6", "conf", interface @ .., option] = parts.as_slice() else {
            continue;
        };
        let interface = interface.join(".");
        let zero = format!("{} = 0", setting.key);
        match (*option, setting.value.as_str()) {
            ("disable_ipv6", "1")
                if interface != "lo" || sysctl.is("net.ipv6.conf.all.disable_ipv6", "1") =>
            {
                let what = format!("{} is 1", setting.key);
                let finding = found(&table::SYSCTL_DISABLE_IPV6, file, setting, what, zero);
                // Not mended: who switched it off may have no filter for it.
                exam.take(finding);
            }
            ("accept_ra", "1") if sysctl.forwards(&interface) => {
                let what = format!("{} is 1 where forwarding is 1", setting.key);
                let fix = format!("{} = 2", setting.key);
                let finding = found(&table::SYSCTL_ACCEPT_RA, file, setting, what, fix);
                exam.take(finding.mended(file, setting, "1", "2"));
            }
            _ => {}
        }
    }
    before_sysctl(exam);
    radvd(exam, &sysctl);
}

/// The kernel's command line, and options of the module.
fn before_sysctl(exam: &mut Exam) {
    let off = |word: &&str| ["ipv6.disable=1", "ipv6.disable_ipv6=1"].contains(word);
    if let Some(file) = exam.tree.file("/etc/default/grub") {
        for setting in parse::shell(&file.text)
            .iter()
            .filter(|s| s.key.starts_with("GRUB_CMDLINE_LINUX"))
        {
            if let Some(word) = setting.words().find(off) {
                let rest: Vec<&str> = setting.words().filter(|other| !off(other)).collect();
                let fix = format!("{}=\"{}\", then update-grub", setting.key, rest.join(" "));
                let what = format!("{} has {word}", setting.key);
                exam.take(found(
                    &table::SYSCTL_DISABLE_IPV6,
                    &file,
                    setting,
                    what,
                    fix,
                ));
            }
        }
    }
    for file in exam.tree.files("/etc/modprobe.d", ".conf") {
        for setting in parse::words(&file.text) {
            let words: Vec<&str> = setting.words().collect();
            let off = match (setting.key.as_str(), words.as_slice()) {
                ("options", ["ipv6", options @ ..]) => {
                    options.contains(&"disable=1") || options.contains(&"disable_ipv6=1")
                }
                ("blacklist", ["ipv6"]) => true,
                ("install", ["ipv6", "/bin/true" | "/bin/false", ..]) => true,
                _ => false,
            };
            if off {
                let what = format!("{} {}", setting.key, setting.value);
                exam.take(found(
                    &table::SYSCTL_DISABLE_IPV6,
                    &file,
                    &setting,
                    what,
                    "take the line out".to_owned(),
                ));
            }
        }
    }
}

fn radvd(exam: &mut Exam, sysctl: &Sysctl) {
    let Some(file) = exam.tree.file("/etc/radvd.conf") else {
        return;
    };
    let settings = parse::radvd(&file.text);
    for setting in settings
        .iter()
        .filter(|s| s.key == "interface" && s.section.is_empty())
    {
        let section = format!("interface {}", setting.value);
        let get = |name: &str| {
            let found = settings
                .iter()
                .rfind(|s| s.section == section && s.key == name);
            found.map(|s| s.value.as_str())
        };
        let name = &setting.value;
        if get("AdvSendAdvert") != Some("on") {
            let what = format!("interface {name} has no `AdvSendAdvert on`");
            exam.take(found(
                &table::RADVD_SILENT,
                &file,
                setting,
                what,
                "AdvSendAdvert on;".to_owned(),
            ));
            continue;
        }
        if get("AdvDefaultLifetime") != Some("0") && !sysctl.forwards(name) {
            let what = format!(
                "interface {name} is advertised as a router, and no sysctl file says net.ipv6.conf.all.forwarding = 1"
            );
            let fix = "net.ipv6.conf.all.forwarding = 1 in /etc/sysctl.d".to_owned();
            exam.take(found(
                &table::RADVD_WITHOUT_FORWARDING,
                &file,
                setting,
                what,
                fix,
            ));
        }
        let managed = get("AdvManagedFlag") == Some("on");
        for prefix in settings
            .iter()
            .filter(|s| s.section == section && s.key == "prefix")
        {
            self::prefix(exam, &file, prefix, &settings, managed);
        }
    }
}

fn prefix(exam: &mut Exam, file: &File, setting: &Setting, all: &[Setting], managed: bool) {
    let section = format!("{} / prefix {}", setting.section, setting.value);
    let autonomous = all
        .iter()
        .rfind(|s| s.section == section && s.key == "AdvAutonomous");
    let autonomous = autonomous.is_none_or(|s| s.value == "on");
    let length = setting
        .value
        .rsplit_once('/')
        .map_or("", |(_, length)| length);
    if autonomous && length != "64" {
        let what = format!("prefix {} is autonomous", setting.value);
        let fix = "a /64, or AdvAutonomous off;".to_owned();
        exam.take(found(&table::RADVD_PREFIX_LENGTH, file, setting, what, fix));
    } else if !autonomous && !managed {
        let what = format!(
            "prefix {} has AdvAutonomous off, and its interface no AdvManagedFlag",
            setting.value
        );
        let fix = "AdvManagedFlag on;".to_owned();
        exam.take(found(&table::RADVD_NO_ADDRESSES, file, setting, what, fix));
    }
}

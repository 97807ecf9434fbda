//! dnsmasq and chrony.

use super::bind::{Bind, judge};
use super::value;
use crate::address::{Host, host_port};
use crate::exam::{Exam, found};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

pub(super) fn check(exam: &mut Exam) {
    dnsmasq(exam);
    chrony(exam);
    forced(exam);
}

fn dnsmasq(exam: &mut Exam) {
    let mut files: Vec<File> = exam.tree.file("/etc/dnsmasq.conf").into_iter().collect();
    files.extend(exam.tree.files("/etc/dnsmasq.d", ""));
    let settings: Vec<(&File, Vec<Setting>)> = files
        .iter()
        .map(|file| (file, parse::dnsmasq(&file.text)))
        .collect();
    let all = || {
        settings
            .iter()
            .flat_map(|(file, list)| list.iter().map(move |s| (*file, s)))
    };
    let mut binds = Vec::new();
    for (file, setting) in all().filter(|(_, s)| s.key == "listen-address") {
        for text in setting.value.split(',').map(str::trim) {
            // It makes its IPv6 sockets IPv6 alone.
            let (any, loopback) = ("0.0.0.0,::".to_owned(), "::1".to_owned());
            binds.push(Bind {
                file,
                setting,
                text: text.to_owned(),
                any,
                loopback,
            });
        }
    }
    judge(exam, &binds);
    for (file, setting) in all().filter(|(_, s)| s.key == "server") {
        // `/domain/ADDRESS#PORT`
        let text = setting.value.rsplit('/').next().unwrap_or_default();
        let address = text.split(['#', '@']).next().unwrap_or_default();
        peer(exam, file, setting, address);
    }
    let ranges: Vec<_> = all().filter(|(_, s)| s.key == "dhcp-range").collect();
    let six = all().any(|(_, s)| s.key == "enable-ra")
        || ranges.iter().any(|(_, s)| s.value.contains("::"));
    if let Some((file, setting)) = ranges.first().filter(|_| !six) {
        let what = format!("dhcp-range={} and no range of IPv6", setting.value);
        let fix = "dhcp-range=::,constructor:INTERFACE,ra-stateless".to_owned();
        exam.take(found(&table::DNSMASQ_IPV4_ONLY, file, setting, what, fix));
    }
}

fn chrony(exam: &mut Exam) {
    let mut files = Vec::new();
    for path in ["/etc/chrony/chrony.conf", "/etc/chrony.conf"] {
        files.extend(exam.tree.file(path));
    }
    files.extend(exam.tree.files("/etc/chrony/conf.d", ".conf"));
    files.extend(exam.tree.files("/etc/chrony/sources.d", ".sources"));
    let settings: Vec<(&File, Vec<Setting>)> = files
        .iter()
        .map(|file| (file, parse::words(&file.text)))
        .collect();
    let all = || {
        settings
            .iter()
            .flat_map(|(file, list)| list.iter().map(move |s| (*file, s)))
    };
    for (file, setting) in all() {
        let text = setting.words().next().unwrap_or_default().to_owned();
        match setting.key.as_str() {
            // `bindaddress` says where to listen of its own family only; the other is left as it is.
            "server" | "pool" | "peer" => peer(exam, file, setting, &text),
            _ => {}
        }
    }
    // `allow` alone is both families, `allow all` too.
    let allows: Vec<_> = all().filter(|(_, s)| s.key == "allow").collect();
    let ipv4 = |s: &Setting| {
        let network = s.words().find(|word| *word != "all").unwrap_or_default();
        let address = network.split('/').next().unwrap_or_default();
        address.contains('.') && address.split('.').all(|part| part.parse::<u8>().is_ok())
    };
    if let Some((file, setting)) = allows
        .first()
        .filter(|_| allows.iter().all(|(_, s)| ipv4(s)))
    {
        let what = format!("allow {} and no prefix of IPv6", setting.value);
        exam.take(found(
            &table::CHRONY_ALLOW_IPV4,
            file,
            setting,
            what,
            "allow 2001:db8::/32 (yours)".to_owned(),
        ));
    }
}

fn peer(exam: &mut Exam, file: &File, setting: &Setting, text: &str) {
    match host_port(text, None).host {
        Host::V4(address) => {
            let what = format!("{} is {address}", setting.key);
            let fix = format!(
                "{} {}",
                setting.key,
                setting.value.replacen(text, "NAME-OR-IPV6-ADDRESS", 1)
            );
            exam.take(found(&table::PEER_IPV4, file, setting, what, fix));
        }
        Host::Name(_) => value::name(exam, file, setting, text),
        _ => {}
    }
}

/// `-4` among the arguments of daemons that have it.
fn forced(exam: &mut Exam) {
    for (path, key) in [
        ("/etc/default/chrony", "DAEMON_OPTS"),
        ("/etc/sysconfig/chronyd", "OPTIONS"),
    ] {
        let Some(file) = exam.tree.file(path) else {
            continue;
        };
        for setting in parse::shell(&file.text).iter().filter(|s| s.key == key) {
            if setting.words().any(|word| word == "-4") {
                let rest: Vec<&str> = setting.words().filter(|word| *word != "-4").collect();
                let fix = format!("{key}=\"{}\"", rest.join(" "));
                let finding = found(
                    &table::IPV4_FORCED,
                    &file,
                    setting,
                    format!("{key} has -4"),
                    fix,
                );
                let from = if setting.value.contains(" -4") {
                    " -4"
                } else {
                    "-4"
                };
                exam.take(finding.mended(&file, setting, from, ""));
            }
        }
    }
}

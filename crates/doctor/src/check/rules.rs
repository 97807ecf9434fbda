//! Options that depend on others, or on the release.

use super::oslo::Told;
use super::value;
use crate::address::Host;
use crate::exam::{Exam, found};
use crate::finding::{Edit, Finding, Place};
use crate::parse::Setting;
use crate::release::Release;
use crate::table;
use crate::tree::File;

pub(super) fn check(exam: &mut Exam, told: &Told) {
    match told.daemon.project {
        "nova" => use_ipv6(exam, told),
        "neutron" => {
            overlay(exam, told);
            vxlan_group(exam, told);
        }
        _ => {}
    }
}

/// An address of an iSCSI portal: a list, each with brackets before Train and with or without since.
pub(super) fn portal(exam: &mut Exam, told: &Told, file: &File, setting: &Setting, value: &str) {
    for address in value.split(',').map(str::trim) {
        match Host::parse(address) {
            Host::V4(_) if setting.value.contains(address) => value::own(
                exam,
                file,
                &Setting {
                    value: address.to_owned(),
                    ..setting.clone()
                },
                None,
            ),
            Host::V6(_) if told.release < Release::TRAIN => {
                let what = format!(
                    "{} is {address}, and cinder of {} adds no brackets",
                    setting.key, told.release
                );
                let fix = format!("{} = [{address}]", setting.key);
                let from = if setting.value.contains(address) {
                    address
                } else {
                    setting.value.as_str()
                };
                let finding = found(&table::ISCSI_ADDRESS_BRACKETS, file, setting, what, fix);
                exam.take(finding.mended(file, setting, from, &format!("[{from}]")));
            }
            _ => {}
        }
    }
}

/// nova-network hands out IPv6 only when told to.
fn use_ipv6(exam: &mut Exam, told: &Told) {
    let config = told.config;
    // The option that chose nova-network, and the agent that was it.
    let neutron = config
        .get("DEFAULT", "use_neutron")
        .is_none_or(|v| !v.eq_ignore_ascii_case("false"));
    if told.release >= Release::USSURI || neutron || config.files().is_empty() {
        return;
    }
    let on = config
        .get("DEFAULT", "use_ipv6")
        .is_some_and(|v| is_true(&v));
    if on {
        return;
    }
    let set = config
        .setting("DEFAULT", "use_ipv6")
        .zip(config.file_of("DEFAULT", "use_ipv6"));
    let what = "nova-network is used (use_neutron = false), and use_ipv6 is not true".to_owned();
    let fix = "use_ipv6 = true in [DEFAULT]".to_owned();
    if let Some((setting, file)) = set.and_then(|(s, path)| Some((s, told.files.get(path)?))) {
        let finding = found(&table::USE_IPV6_OFF, file, setting, what, fix);
        exam.take(finding);
    } else if let Some((setting, file)) =
        told.config.setting("DEFAULT", "use_neutron").and_then(|s| {
            Some((
                s,
                told.files.get(config.file_of("DEFAULT", "use_neutron")?)?,
            ))
        })
    {
        exam.take(found(&table::USE_IPV6_OFF, file, setting, what, fix));
    }
}

fn is_true(value: &str) -> bool {
    ["true", "1", "on", "yes"].contains(&value.to_lowercase().as_str())
}

/// The server's `overlay_ip_version` and the family of this host's own tunnel endpoint.
fn overlay(exam: &mut Exam, told: &Told) {
    let config = told.config;
    if !["neutron-server", "neutron-api"].contains(&told.daemon.name) {
        return;
    }
    let set = config.setting("ml2", "overlay_ip_version");
    let file = config
        .file_of("ml2", "overlay_ip_version")
        .and_then(|path| told.files.get(path));
    if let (Some(setting), Some(file)) = (set, file) {
        if config.get("ml2", "overlay_ip_version").as_deref() == Some("4") {
            let what = "overlay_ip_version is 4".to_owned();
            let finding = found(
                &table::OVERLAY_IP_VERSION,
                file,
                setting,
                what,
                "overlay_ip_version = 6".to_owned(),
            );
            // While agents still have IPv4 endpoints, 6 would refuse those.
            let finding = match endpoint(exam) {
                Some(Host::V6(_)) => finding.mended(file, setting, "4", "6"),
                _ => finding,
            };
            exam.take(finding);
        }
    } else if set.is_none() && matches!(endpoint(exam), Some(Host::V6(_))) {
        missing_overlay(exam, told);
    }
}

fn missing_overlay(exam: &mut Exam, told: &Told) {
    let found = told.files.values().find_map(|file| {
        let at = file
            .text
            .lines()
            .position(|line| line.trim_end() == "[ml2]")?;
        Some((file.path.clone(), at + 1))
    });
    let Some((path, after)) = found else { return };
    exam.take(Finding {
        kind: &table::OVERLAY_IP_VERSION,
        what: "overlay_ip_version is not set, and is then 4; local_ip of this host's agent is IPv6"
            .to_owned(),
        fix: "overlay_ip_version = 6 in [ml2]".to_owned(),
        source: None,
        place: Place {
            file: path,
            line: None,
            section: Some("ml2".to_owned()),
            option: Some("overlay_ip_version".to_owned()),
        },
        edit: Some(Edit::Insert {
            after,
            text: "overlay_ip_version = 6".to_owned(),
        }),
    });
}

/// This host's own tunnel endpoint, by its agents' files.
fn endpoint(exam: &Exam) -> Option<Host> {
    ["openvswitch_agent.ini", "linuxbridge_agent.ini"]
        .into_iter()
        .find_map(|name| {
            let file = exam
                .tree
                .file(&format!("/etc/neutron/plugins/ml2/{name}"))?;
            let settings = crate::parse::oslo(&file.text).ok()?;
            let set = settings.into_iter().rfind(|s| s.key == "local_ip")?;
            Some(Host::parse(&set.value))
        })
}

fn vxlan_group(exam: &mut Exam, told: &Told) {
    const GROUP: &str = "ff05::100";
    let config = told.config;
    let local = config.get("vxlan", "local_ip").map(|v| Host::parse(&v));
    if !matches!(local, Some(Host::V6(_))) || told.daemon.name != "neutron-linuxbridge-agent" {
        return;
    }
    let at = |name: &str| {
        let setting = config.setting("vxlan", name)?;
        Some((setting, told.files.get(config.file_of("vxlan", name)?)?))
    };
    let group = config.get("vxlan", "vxlan_group");
    let network = group
        .as_deref()
        .map(|g| g.split('/').next().unwrap_or_default());
    match (network, at("vxlan_group"), at("local_ip")) {
        (Some(text), Some((setting, file)), _) if matches!(Host::parse(text), Host::V4(_)) => {
            let what = format!("vxlan_group is {} and local_ip is IPv6", setting.value);
            let finding = found(
                &table::VXLAN_GROUP_FAMILY,
                file,
                setting,
                what,
                format!("vxlan_group = {GROUP}"),
            );
            exam.take(finding.mended(file, setting, &setting.value, GROUP));
        }
        (None, _, Some((setting, file))) => {
            let what =
                "local_ip is IPv6, and vxlan_group is not set: it is then 224.0.0.1".to_owned();
            let mut finding = found(
                &table::VXLAN_GROUP_FAMILY,
                file,
                setting,
                what,
                format!("vxlan_group = {GROUP} in [vxlan]"),
            );
            finding.edit = Some(Edit::Insert {
                after: setting.last,
                text: format!("vxlan_group = {GROUP}"),
            });
            exam.take(finding);
        }
        _ => {}
    }
}

//! Apache: sockets, virtual hosts, certificates, and where it passes requests on to.

use super::bind::{Bind, judge};
use super::value;
use crate::address::{Host, host_port};
use crate::exam::{Exam, found, place};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

pub(super) fn check(exam: &mut Exam) {
    let mut files = Vec::new();
    for path in [
        "/etc/apache2/apache2.conf",
        "/etc/apache2/ports.conf",
        "/etc/httpd/conf/httpd.conf",
    ] {
        files.extend(exam.tree.file(path));
    }
    for directory in [
        "/etc/apache2/conf-enabled",
        "/etc/apache2/sites-enabled",
        "/etc/httpd/conf.d",
    ] {
        files.extend(exam.tree.files(directory, ".conf"));
    }
    let settings: Vec<(&File, Vec<Setting>)> = files
        .iter()
        .map(|file| (file, parse::apache(&file.text)))
        .collect();
    let all = || {
        settings
            .iter()
            .flat_map(|(file, list)| list.iter().map(move |s| (*file, s)))
    };
    let listens = all().filter(|(_, s)| s.key.eq_ignore_ascii_case("Listen"));
    let binds: Vec<Bind> = listens
        .filter_map(|(file, setting)| socket(file, setting))
        .collect();
    judge(exam, &binds);
    for (file, setting) in all() {
        match setting.key.to_lowercase().as_str() {
            "<virtualhost" => virtual_host(exam, file, setting),
            "sslcertificatefile" => {
                exam.certificates
                    .insert((setting.value.clone(), place(file, setting)));
            }
            "proxypass" | "proxypassmatch" | "balancermember" | "wsgisocketprefix" => {
                value::general(exam, file, setting, &setting.value, None);
            }
            _ => {}
        }
    }
}

/// `Listen [ADDRESS:]PORT [PROTOCOL]`; a port alone is both families.
fn socket<'a>(file: &'a File, setting: &'a Setting) -> Option<Bind<'a>> {
    let text = setting.words().next()?;
    let (_, port) = text.rsplit_once(':')?;
    Some(Bind {
        file,
        setting,
        text: text.to_owned(),
        any: port.to_owned(),
        loopback: format!("[::1]:{port}"),
    })
}

/// `<VirtualHost ADDRESS:PORT ...>`: requests that come by another address get another host's answer.
fn virtual_host(exam: &mut Exam, file: &File, setting: &Setting) {
    let addresses: Vec<Host> = setting
        .words()
        .map(|text| host_port(text, None).host)
        .collect();
    if addresses.iter().any(|host| !matches!(host, Host::V4(_))) {
        return;
    }
    for (text, host) in setting.words().zip(&addresses) {
        let Host::V4(address) = host else { continue };
        let port = text.rsplit_once(':').map_or("*", |(_, port)| port);
        let (kind, safe) = match () {
            () if address.is_unspecified() => (&table::BIND_IPV4_ANY, true),
            () if address.is_loopback() => (&table::BIND_IPV4_LOOPBACK, false),
            () => (&table::BIND_IPV4_ADDRESS, false),
        };
        let to = if safe {
            format!("*:{port}")
        } else {
            format!("{text} [ADDRESS]:{port}")
        };
        let what = format!("the virtual host is for {text} only");
        let finding = found(kind, file, setting, what, format!("<VirtualHost {to}>"));
        exam.take(if safe {
            finding.mended(file, setting, text, &to)
        } else {
            finding
        });
    }
}

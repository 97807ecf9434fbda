//! RabbitMQ: listeners, and Erlang's own connections.

use super::bind::{Bind, judge};
use crate::exam::{Exam, found, place};
use crate::finding::{Finding, Place};
use crate::parse::{self, Setting};
use crate::table;
use crate::tree::File;

const ENV: &str = "/etc/rabbitmq/rabbitmq-env.conf";

pub(super) fn check(exam: &mut Exam) {
    let mut files: Vec<File> = exam
        .tree
        .file("/etc/rabbitmq/rabbitmq.conf")
        .into_iter()
        .collect();
    files.extend(exam.tree.files("/etc/rabbitmq/conf.d", ".conf"));
    let settings: Vec<(&File, Vec<Setting>)> = files
        .iter()
        .map(|file| (file, parse::pairs(&file.text)))
        .collect();
    let mut binds = Vec::new();
    for (file, setting) in settings
        .iter()
        .flat_map(|(file, list)| list.iter().map(move |s| (*file, s)))
    {
        let parts: Vec<&str> = setting.key.split('.').collect();
        match parts.as_slice() {
            ["listeners", "tcp" | "ssl", _] => binds.extend(socket(file, setting)),
            [
                "management" | "prometheus" | "stomp" | "mqtt" | "web_stomp" | "web_mqtt",
                ..,
                "ip",
            ] => {
                judge(exam, &[alone(file, setting)]);
            }
            ["ssl_options", "certfile"] | ["management", "ssl", "certfile"] => {
                exam.certificates
                    .insert((setting.value.clone(), place(file, setting)));
            }
            _ => {}
        }
    }
    judge(exam, &binds);
    advanced(exam);
    environment(exam, !files.is_empty());
}

/// `listeners.tcp.default = 5672` is all addresses of both families; `ADDRESS:PORT` one of them.
fn socket<'a>(file: &'a File, setting: &'a Setting) -> Option<Bind<'a>> {
    let (_, port) = setting.value.rsplit_once(':')?;
    Some(Bind {
        file,
        setting,
        text: setting.value.clone(),
        // A port alone is all addresses of both families.
        any: port.to_owned(),
        loopback: format!("::1:{port}"),
    })
}

fn alone<'a>(file: &'a File, setting: &'a Setting) -> Bind<'a> {
    Bind {
        file,
        setting,
        text: setting.value.clone(),
        any: "::".to_owned(),
        loopback: "::1".to_owned(),
    }
}

fn advanced(exam: &mut Exam) {
    for path in [
        "/etc/rabbitmq/advanced.config",
        "/etc/rabbitmq/rabbitmq.config",
    ] {
        let Some(file) = exam.tree.file(path) else {
            continue;
        };
        let settings = parse::erlang(&file.text);
        let listens = settings
            .iter()
            .filter(|s| s.key.contains("listen") || s.key == "ip");
        let binds: Vec<Bind> = listens.map(|setting| alone(&file, setting)).collect();
        judge(exam, &binds);
    }
}

/// rabbitmq-env.conf, in which the names go without `RABBITMQ_`.
fn environment(exam: &mut Exam, configured: bool) {
    let file = exam.tree.file(ENV);
    if file.is_none() && !configured && !exam.releases.packages().has("rabbitmq-server") {
        return;
    }
    let settings = file
        .as_ref()
        .map(|file| parse::shell(&file.text))
        .unwrap_or_default();
    let named = |name: &str| {
        settings
            .iter()
            .find(move |s| s.key.trim_start_matches("RABBITMQ_") == name)
    };
    if let Some((file, setting)) = file.as_ref().zip(named("NODE_IP_ADDRESS")) {
        judge(exam, &[alone(file, setting)]);
    }
    let servers = [
        "SERVER_ADDITIONAL_ERL_ARGS",
        "SERVER_ERL_ARGS",
        "SERVER_START_ARGS",
    ];
    let inet6 = |s: &Setting| s.value.contains("inet6_tcp") || s.value.contains("inet6_tls");
    let server = servers.iter().filter_map(|name| named(name)).any(inet6);
    let tools = named("CTL_ERL_ARGS").is_some_and(inet6);
    let line = |name: &str| format!("{name}=\"-proto_dist inet6_tcp\"");
    for (has, name) in [(server, servers[0]), (tools, "CTL_ERL_ARGS")] {
        if has {
            continue;
        }
        let what = format!("{name} does not say -proto_dist inet6_tcp");
        exam.take(match (&file, named(name)) {
            (Some(file), Some(setting)) => {
                let fix = format!("{name}=\"{} -proto_dist inet6_tcp\"", setting.value);
                found(&table::RABBITMQ_INET6_DIST, file, setting, what, fix)
            }
            _ => Finding {
                kind: &table::RABBITMQ_INET6_DIST,
                what,
                fix: line(name),
                source: None,
                place: Place {
                    file: ENV.to_owned(),
                    option: Some(name.to_owned()),
                    ..Place::default()
                },
                edit: None,
            },
        });
    }
}

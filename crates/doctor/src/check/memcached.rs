//! memcached's own file, and what Debian's wrapper passes on.

use super::bind::{Bind, judge};
use crate::exam::Exam;
use crate::parse;

pub(super) fn check(exam: &mut Exam) {
    for path in ["/etc/memcached.conf", "/etc/sysconfig/memcached"] {
        let Some(file) = exam.tree.file(path) else {
            continue;
        };
        // RHEL keeps the options in a shell's variable.
        let settings = match path.contains("sysconfig") {
            true => parse::shell(&file.text)
                .into_iter()
                .filter(|s| s.key == "OPTIONS")
                .flat_map(|s| {
                    parse::options(&s.value)
                        .into_iter()
                        .map(move |o| parse::Setting {
                            line: s.line,
                            last: s.last,
                            ..o
                        })
                })
                .collect(),
            false => parse::options(&file.text),
        };
        let listens = settings
            .iter()
            .filter(|s| s.key == "-l" || s.key == "--listen");
        let binds: Vec<Bind> = listens
            .flat_map(|setting| setting.value.split(',').map(move |text| (setting, text)))
            .map(|(setting, text)| Bind {
                file: &file,
                setting,
                text: text.to_owned(),
                // It makes its IPv6 sockets IPv6 alone.
                any: "0.0.0.0,::".to_owned(),
                loopback: "::1".to_owned(),
            })
            .collect();
        judge(exam, &binds);
    }
}

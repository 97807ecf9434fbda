//! What is looked at, one file a program.

mod apache;
mod bind;
mod certificates;
mod debian;
mod defaults;
mod haproxy;
mod horizon;
mod hosts;
mod kernel;
mod mariadb;
mod memcached;
mod network;
mod oslo;
mod rabbitmq;
mod rules;
mod uwsgi;
mod value;

use crate::exam::Exam;

/// Everything. Names and certificates come last: the others say which there are.
pub(crate) fn all(exam: &mut Exam) {
    exam.takes_both = kernel::takes_both(exam);
    let checks = [
        oslo::check,
        debian::check,
        uwsgi::check,
        apache::check,
        haproxy::check,
        horizon::check,
        memcached::check,
        rabbitmq::check,
        mariadb::check,
        kernel::check,
        network::check,
        hosts::check,
        certificates::check,
    ];
    for check in checks {
        check(exam);
    }
}

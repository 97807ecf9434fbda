//! Counters and health for an operator's monitoring: `http://[::1]:8445/metrics` in Prometheus' text
//! format, and `/healthz`.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use node::{Metrics, Sample};
use outbox::Counts;
use tokio::net::TcpListener;

use crate::acme::Attempts;
use crate::certificates::Watched;

/// The exposition format's own name for itself.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// For a client to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is to tell.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) cloud: cloud::Cloud,
    /// `None` where nodes are made up.
    pub(crate) node: Option<Metrics>,
    /// `None` where nobody is told of anything.
    pub(crate) notifications: Option<Arc<Counts>>,
    pub(crate) watched: Watched,
    /// `None` where ACME brings no certificates.
    pub(crate) attempts: Option<Arc<Attempts>>,
}

/// Answers until the process ends. It is for this host alone: plain, and only where the settings say.
pub(crate) async fn serve(listener: TcpListener, told: Told) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let told = told.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(told.clone(), request));
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    told: Told,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status, text: String| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static(FORMAT);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    };
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let samples = tokio::task::spawn_blocking(move || samples(&told)).await;
            plain(StatusCode::OK, render(&samples.unwrap_or_default()))
        }
        (&Method::GET, "/healthz") => match told.cloud.connected_nodes() {
            0 => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "no node is connected\n".into(),
            ),
            _ => plain(StatusCode::OK, "ok\n".into()),
        },
        _ => plain(
            StatusCode::NOT_FOUND,
            "there are GET /metrics and GET /healthz\n".into(),
        ),
    })
}

fn samples(told: &Told) -> Vec<Sample> {
    let mut samples = told.node.as_ref().map(Metrics::samples).unwrap_or_default();
    let own = |name, value| Sample {
        name,
        labels: Vec::new(),
        value,
    };
    samples.push(own("nodes_connected", told.cloud.connected_nodes() as u64));
    samples.push(own("commits", told.cloud.version()));
    samples.push(own(
        "certificates_refused",
        u64::from(told.watched.refused()),
    ));
    if let Some(attempts) = &told.attempts {
        samples.push(own("acme_issues", attempts.issued.load(Ordering::Relaxed)));
        samples.push(own(
            "acme_failures",
            attempts.failed.load(Ordering::Relaxed),
        ));
    }
    if let Some(counts) = &told.notifications {
        let pending = told.cloud.store().read(|tx| tx.outbox_length());
        samples.extend(
            pending
                .ok()
                .map(|count| own("notifications_pending", count)),
        );
        samples.push(own("notifications_sent", counts.sent()));
        let connected = u64::from(counts.is_connected());
        samples.push(own("notifications_connected", connected));
    }
    let left = told.watched.days_left().into_iter();
    samples.extend(left.map(|(file, days)| Sample {
        name: "certificate_days_left",
        labels: vec![("file", file.display().to_string())],
        value: days,
    }));
    samples
}

/// Samples of one name together, as the format wants them.
fn render(samples: &[Sample]) -> String {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by_key(|sample| sample.name);
    let (mut text, mut last) = (String::new(), "");
    for sample in sorted {
        let (kind, end) = match sample.name {
            "nodes_connected"
            | "certificates_refused"
            | "certificate_days_left"
            | "notifications_connected"
            | "notifications_pending" => ("gauge", ""),
            _ => ("counter", "_total"),
        };
        if sample.name != last {
            let _ = writeln!(text, "# TYPE hextet_{}{end} {kind}", sample.name);
            last = sample.name;
        }
        let labels: Vec<String> = sample
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(text, "hextet_{}{end}{labels} {}", sample.name, sample.value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let sample = |name, network: &str, value| Sample {
            name,
            labels: vec![("network", network.into())],
            value,
        };
        let text = render(&[
            sample("ra_sent", "a", 3),
            Sample {
                name: "nodes_connected",
                labels: Vec::new(),
                value: 1,
            },
            sample("ra_sent", "b", 4),
        ]);
        let expected = "# TYPE hextet_nodes_connected gauge\nhextet_nodes_connected 1\n\
            # TYPE hextet_ra_sent_total counter\nhextet_ra_sent_total{network=\"a\"} 3\n\
            hextet_ra_sent_total{network=\"b\"} 4\n";
        assert_eq!(text, expected);
    }
}

//! Heads of responses as the client gets them, with the upstream's own URLs replaced by the proxy's.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_LOCATION, Entry, HOST, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION,
    REFRESH, TRANSFER_ENCODING,
};
use hyper::http::request;

use super::fields::{hop_by_hop, text, tokens};

/// The transfer codings of a response. `identity`, which RFC 2616 had, is none.
fn codings(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().flat_map(tokens);
    codings.filter(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether the body of a response ends with its last chunk.
pub(crate) fn is_chunked(headers: &HeaderMap) -> bool {
    codings(headers).any(|coding| coding.eq_ignore_ascii_case(b"chunked"))
}

/// Whether a response has a transfer coding that hyper does not decode. hyper decodes `chunked`, and only once.
pub(crate) fn has_unknown_coding(headers: &HeaderMap) -> bool {
    let mut codings = codings(headers);
    codings.next().is_some_and(|first| !first.eq_ignore_ascii_case(b"chunked")) || codings.next().is_some()
}

/// Removes the headers of the upstream's connection from a response.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in hop_by_hop(headers) {
        headers.remove(name);
    }
}

/// The bytes of an interim response (1xx) for the client.
pub(crate) fn interim_response(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    let hop_by_hop = hop_by_hop(headers);
    let passes = |name: &HeaderName| *name != CONTENT_LENGTH && !hop_by_hop.contains(name);
    for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Replaces the upstream's own scheme, host and port by the client's.
pub(crate) fn rewrite_own_urls(headers: &mut HeaderMap, upstream: SocketAddr, request: &request::Parts) {
    let host = request.uri.authority().map(|host| host.as_str());
    let host = host.or_else(|| text(&request.headers, HOST.as_str())).filter(|host| !host.is_empty());
    let Some(host) = host else { return };
    let is_https = text(&request.headers, "x-forwarded-proto")
        .is_some_and(|scheme| scheme.to_ascii_lowercase().starts_with("https"));
    let scheme = if is_https { "https:" } else { "http:" };
    for name in [LOCATION, CONTENT_LOCATION, REFRESH, LINK] {
        let Entry::Occupied(mut values) = headers.entry(&name) else { continue };
        for value in values.iter_mut() {
            let rewritten = value.to_str().ok().and_then(|text| rewrite(&name, text, upstream, scheme, host));
            if let Some(rewritten) = rewritten.and_then(|text| HeaderValue::try_from(text).ok()) {
                *value = rewritten;
            }
        }
    }
}

/// The value of a header with its URLs rewritten; `None` if no URL is the upstream's.
fn rewrite(name: &HeaderName, value: &str, upstream: SocketAddr, scheme: &str, host: &str) -> Option<String> {
    let mut rewritten = value.to_owned();
    // From the end, so that the earlier positions stay right.
    for start in url_positions(name, value).into_iter().rev() {
        let Some((old_scheme, end)) = own_origin(&value[start..], upstream) else { continue };
        let new_scheme = if old_scheme.is_empty() { "" } else { scheme };
        rewritten.replace_range(start..start + end, &format!("{new_scheme}//{host}"));
    }
    (rewritten != value).then_some(rewritten)
}

/// Positions at which the URLs of a header's value begin.
fn url_positions(name: &HeaderName, value: &str) -> Vec<usize> {
    if *name == LINK {
        value.match_indices('<').map(|(at, _)| at + 1).collect()
    } else if *name == REFRESH {
        let url = value.to_ascii_lowercase().find("url").map(|at| at + 3);
        let skipped = |at: usize| value.len() - value[at..].trim_start_matches([' ', '=', '"', '\'']).len();
        url.map(skipped).into_iter().collect()
    } else {
        vec![value.len() - value.trim_start().len()]
    }
}

/// The scheme (`http:`, or empty) and the length of the origin at the beginning of a URL, if the origin is the
/// upstream.
fn own_origin(url: &str, upstream: SocketAddr) -> Option<(&str, usize)> {
    let (scheme, rest) = url.split_once("//")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http:" | "" => 80,
        "https:" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#', '\\', '>', '"', '\'', ';', ',', ' ']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default_port),
    };
    let is_own = port == upstream.port() && is_own_host(host, upstream.ip());
    is_own.then_some((scheme, scheme.len() + 2 + authority.len()))
}

/// Whether a host is the upstream's machine: its address, loopback, or the unspecified address of a `bind`.
fn is_own_host(host: &str, upstream: IpAddr) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address == upstream || address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(name: HeaderName, value: &str) -> String {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 30833));
        rewrite(&name, value, upstream, "http:", "dev.test:8000").unwrap_or_else(|| value.to_owned())
    }

    #[test]
    fn the_upstreams_own_urls_lead_to_the_proxy() {
        for (name, own, rest) in [
            (LOCATION, "http://localhost:30833", "/login?a=http://localhost:30833/"),
            (LOCATION, "HTTP://LocalHost:30833", ""),
            (LOCATION, "https://127.0.0.1:30833", "/x"),
            (LOCATION, "http://0.0.0.0:30833", "#a"),
            (LOCATION, "http://app.localhost:30833", "/"),
            (CONTENT_LOCATION, "http://127.0.0.1:30833", "/a.json"),
        ] {
            assert_eq!(rewritten(name, &format!("{own}{rest}")), format!("http://dev.test:8000{rest}"));
        }
        assert_eq!(rewritten(LOCATION, "//[::1]:30833/x"), "//dev.test:8000/x");
        for (name, value) in [
            (REFRESH, "5; URL='http://localhost:30833/x'"),
            (REFRESH, "0;url=http://localhost:30833/x"),
            (LINK, "<http://localhost:30833/a>; rel=next, </b>; rel=x, <http://localhost:30833>; rel=\"y\""),
        ] {
            let expected = value.replace("http://localhost:30833", "http://dev.test:8000");
            assert_eq!(rewritten(name, value), expected);
        }
    }

    #[test]
    fn all_other_urls_stay() {
        for value in [
            "/login",
            "http:/login",
            "http://localhost:30834/",
            "http://localhost/",
            "http://localhost:308331/",
            "http://example.com:30833/",
            "http://localhost.example.com:30833/",
            "http://user@localhost:30833/",
            "ftp://localhost:30833/",
            "/next?to=http://localhost:30833/",
            "",
        ] {
            assert_eq!(rewritten(LOCATION, value), value);
        }
        assert_eq!(rewritten(REFRESH, "5"), "5");
    }
}

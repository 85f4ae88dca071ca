//! Decides which HTML responses get the script tag of live reload, and corrects their headers. Pure.
//!
//! The tag is appended behind the page, where every browser runs it, so the body need not be searched.

use hyper::StatusCode;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
};

use crate::proxy::headers::media_type;

/// Reason why a response gets no script tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Skip {
    /// The response is no complete HTML page.
    NotAPage,
    /// The page's Content-Security-Policy forbids the script.
    Policy,
}

/// Decides whether the response to a navigation gets the script tag, and with which nonce. The response must
/// have a body.
pub(in crate::proxy) fn script_nonce(
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<String>, Skip> {
    if !is_complete_page(status, headers) {
        return Err(Skip::NotAPage);
    }
    let lines = headers.get_all(CONTENT_SECURITY_POLICY).iter();
    let policies = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    let mut nonces: Vec<&str> = policies.map(policy_nonce).collect::<Option<Vec<_>>>().ok_or(Skip::Policy)?;
    nonces.retain(|nonce| !nonce.is_empty());
    nonces.dedup();
    match nonces[..] {
        [] => Ok(None),
        [nonce] => Ok(Some(nonce.to_owned())),
        _ => Err(Skip::Policy),
    }
}

fn is_complete_page(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_complete = !status.is_informational()
        && !status.is_redirection()
        && !matches!(status.as_u16(), 204..=206)
        && !headers.contains_key(CONTENT_RANGE);
    let is_empty = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
    let is_html = media_type(headers).eq_ignore_ascii_case("text/html") && !is_utf16(headers);
    let is_encoded = headers.contains_key(CONTENT_ENCODING);
    is_complete && !is_empty && is_html && !is_attachment(headers) && !is_encoded
}

/// Whether the browser saves the response as a file, which must stay as the server sent it.
fn is_attachment(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_DISPOSITION).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    !kind.is_empty() && !kind.eq_ignore_ascii_case(b"inline")
}

/// Whether the page is in UTF-16, to which no ASCII text can be appended.
fn is_utf16(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().contains("utf-16")
}

/// Corrects the headers for a body with `added` more bytes.
pub(in crate::proxy) fn adjust_headers(headers: &mut HeaderMap, added: usize) {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length + added as u64));
    }
    headers.remove(ETAG);
    for digest in ["content-md5", "digest", "content-digest", "repr-digest"] {
        headers.remove(digest);
    }
}

/// The nonce with which a policy lets a script of the page's own origin run and connect to that origin
/// (Content Security Policy Level 3). Empty if the script needs none; `None` if the policy forbids the
/// script.
fn policy_nonce(policy: &str) -> Option<&str> {
    let directive = |name: &str| {
        let mut directives = policy.split(';').map(str::split_ascii_whitespace);
        directives.find_map(|mut words| words.next()?.eq_ignore_ascii_case(name).then_some(words))
    };
    let first = |names: &[&str]| names.iter().find_map(|name| directive(name));
    let may_connect = first(&["connect-src", "default-src"]).is_none_or(has_self);
    let may_run = directive("sandbox")
        .is_none_or(|mut words| words.any(|word| word.eq_ignore_ascii_case("allow-scripts")));
    if !may_connect || !may_run {
        return None;
    }
    let Some(mut scripts) = first(&["script-src-elem", "script-src", "default-src"]) else { return Some("") };
    // With it, a browser runs only scripts with a nonce, and scripts that such scripts load.
    let is_strict = scripts.clone().any(|source| source.eq_ignore_ascii_case("'strict-dynamic'"));
    if !is_strict && has_self(scripts.clone()) { Some("") } else { scripts.find_map(parse_nonce) }
}

/// Whether a list of sources allows the page's own origin.
fn has_self<'a>(mut sources: impl Iterator<Item = &'a str>) -> bool {
    sources.any(|source| {
        source == "*" || ["'self'", "http:"].iter().any(|known| source.eq_ignore_ascii_case(known))
    })
}

/// The value in `'nonce-…'`, if it is safe in an HTML attribute.
fn parse_nonce(source: &str) -> Option<&str> {
    let (name, value) = source.strip_prefix('\'')?.strip_suffix('\'')?.split_once('-')?;
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"+/_-=".contains(&letter);
    let is_one = name.eq_ignore_ascii_case("nonce") && !value.is_empty() && value.bytes().all(fits);
    is_one.then_some(value)
}

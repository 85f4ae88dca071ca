//! One script tag behind HTML answers: which of them get it, and what must be told about the changed body. Pure.
//!
//! Never searches the body: the tag is put behind it, where every browser still runs it.

use hyper::StatusCode;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
};

use super::headers::media_type;

/// Why an HTML answer stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    /// It is no whole HTML page that could take it.
    NotAPage,
    /// Its Content-Security-Policy would not run the script.
    Policy,
}

/// Whether an answer to a navigation gets the script, and with which nonce; the method was not `HEAD`.
pub(super) fn decide(status: StatusCode, headers: &HeaderMap) -> Result<Option<String>, Skip> {
    let whole = !status.is_informational()
        && !status.is_redirection()
        && !matches!(status.as_u16(), 204..=206)
        && !headers.contains_key(CONTENT_RANGE);
    let empty = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
    let html = media_type(headers).eq_ignore_ascii_case("text/html") && is_ascii_superset(headers);
    if !whole || empty || !html || is_saved(headers) || headers.contains_key(CONTENT_ENCODING) {
        return Err(Skip::NotAPage);
    }
    let lines = headers.get_all(CONTENT_SECURITY_POLICY).iter();
    let policies = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    let mut nonces: Vec<&str> = policies.map(nonce).collect::<Option<Vec<_>>>().ok_or(Skip::Policy)?;
    nonces.retain(|nonce| !nonce.is_empty());
    nonces.dedup();
    match nonces[..] {
        [] => Ok(None),
        [nonce] => Ok(Some(nonce.to_owned())),
        _ => Err(Skip::Policy),
    }
}

/// Whether it becomes a file rather than a page: a file is kept as the server has it.
fn is_saved(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_DISPOSITION).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    !kind.is_empty() && !kind.eq_ignore_ascii_case(b"inline")
}

/// Whether ASCII text put behind the page is text there: not in UTF-16.
fn is_ascii_superset(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    !kind.to_ascii_lowercase().contains("utf-16")
}

/// Makes the headers true for a body with `added` more bytes.
pub(super) fn adjust(headers: &mut HeaderMap, added: usize) {
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

/// The nonce with which one policy lets a script of the page's own origin run and talk to it (Content Security Policy
/// Level 3); empty if it needs none, `None` if it lets no such script.
fn nonce(policy: &str) -> Option<&str> {
    let directive = |name: &str| {
        let mut directives = policy.split(';').map(str::split_ascii_whitespace);
        directives.find_map(|mut words| words.next()?.eq_ignore_ascii_case(name).then_some(words))
    };
    let first = |names: &[&str]| names.iter().find_map(|name| directive(name));
    let events = first(&["connect-src", "default-src"]).is_none_or(has_self);
    let sandbox = directive("sandbox")
        .is_none_or(|mut words| words.any(|word| word.eq_ignore_ascii_case("allow-scripts")));
    if !events || !sandbox {
        return None;
    }
    let Some(mut scripts) = first(&["script-src-elem", "script-src", "default-src"]) else { return Some("") };
    // With it, a browser runs only what has a nonce or was loaded by that.
    let strict = scripts.clone().any(|source| source.eq_ignore_ascii_case("'strict-dynamic'"));
    if !strict && has_self(scripts.clone()) { Some("") } else { scripts.find_map(as_nonce) }
}

fn has_self<'a>(mut sources: impl Iterator<Item = &'a str>) -> bool {
    sources.any(|source| {
        source == "*" || ["'self'", "http:"].iter().any(|known| source.eq_ignore_ascii_case(known))
    })
}

/// What stands in `'nonce-…'`, if it can stand in an attribute too.
fn as_nonce(source: &str) -> Option<&str> {
    let (name, value) = source.strip_prefix('\'')?.strip_suffix('\'')?.split_once('-')?;
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"+/_-=".contains(&letter);
    let is_one = name.eq_ignore_ascii_case("nonce") && !value.is_empty() && value.bytes().all(fits);
    is_one.then_some(value)
}

//! Patterns with wildcards, matched. Knows no text of a pattern, only tokens.
//!
//! Matching keeps at most one way back per kind of star, so it takes at most text times pattern steps: no pattern is
//! exponential.

use super::char_class::{Set, has};
use super::token::Token;

/// What a pattern with wildcards is taken apart into: fixed ends and a middle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::rules) struct Glob {
    /// What every match begins with.
    pub(in crate::rules) head: Box<[u8]>,
    /// What every match ends with, after the middle.
    pub(in crate::rules) tail: Box<[u8]>,
    middle: Box<[Token]>,
    sets: Box<[Set]>,
}

impl Glob {
    /// Made of tokens; without any wildcard among them it is a literal, and comes back as that.
    pub(in crate::rules) fn new(tokens: &[Token], sets: Vec<Set>) -> Result<Self, Box<[u8]>> {
        let literal = |tokens: &[Token]| -> Box<[u8]> { tokens.iter().filter_map(byte).collect() };
        let is_byte = |token: &&Token| byte(token).is_some();
        let head = tokens.iter().take_while(is_byte).count();
        if head == tokens.len() {
            return Err(literal(tokens));
        }
        let tail = tokens.iter().rev().take_while(is_byte).count();
        let (front, back) = tokens.split_at(tokens.len() - tail);
        Ok(Self {
            head: literal(&front[..head]),
            tail: literal(back),
            middle: front[head..].into(),
            sets: sets.into(),
        })
    }

    /// The bytes that every match has.
    pub(in crate::rules) fn bytes(&self) -> impl Iterator<Item = u8> {
        let ends = self.head.iter().chain(&*self.tail).copied();
        ends.chain(self.middle.iter().filter_map(byte))
    }

    /// Whether all of it is one star between its ends.
    pub(in crate::rules) fn is_one_star(&self) -> bool {
        *self.middle == [Token::Star]
    }

    /// Whether it matches all that begins with its head.
    pub(in crate::rules) fn takes_everything_below(&self) -> bool {
        *self.middle == [Token::Everything] && self.tail.is_empty()
    }

    /// Whether it matches; its ends are folded already if `fold`.
    pub(in crate::rules) fn matches(&self, text: &[u8], fold: bool) -> bool {
        let (head, tail) = (self.head.len(), self.tail.len());
        if text.len() < head + tail {
            return false;
        }
        let (front, back) = text.split_at(text.len() - tail);
        let (first, middle) = front.split_at(head);
        equal(&self.tail, back, fold) && equal(&self.head, first, fold) && self.middle_matches(middle, fold)
    }

    /// Matches the middle, greedily: each star takes as little as it can, and only the latest star of a kind
    /// ever takes more. That is complete: between two stars that cross directories the number of slashes is
    /// fixed, so what an earlier `*` took cannot help a later one.
    fn middle_matches(&self, text: &[u8], fold: bool) -> bool {
        let tokens = &*self.middle;
        let (mut token, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        let mut deep: Option<(usize, usize, bool)> = None;
        loop {
            match tokens.get(token) {
                None if at == text.len() => return true,
                None => {}
                Some(Token::Star) => {
                    token += 1;
                    if token < tokens.len() {
                        star = Some((token, at));
                        continue;
                    }
                    star = None;
                    if !text[at..].contains(&b'/') {
                        return true;
                    }
                }
                Some(Token::Everything) if token + 1 == tokens.len() => return true,
                Some(wide @ (Token::Everything | Token::Directories)) => {
                    token += 1;
                    deep = Some((token, at, *wide == Token::Directories));
                    star = None;
                    continue;
                }
                Some(one) => match text.get(at) {
                    // Every other choice takes at least as many bytes as were there.
                    None => return false,
                    Some(byte) if self.takes(*one, *byte, fold) => {
                        token += 1;
                        at += 1;
                        continue;
                    }
                    Some(_) => {}
                },
            }
            (token, at) = match (star, deep) {
                (Some((after, from)), _) if text.get(from).is_some_and(|byte| *byte != b'/') => {
                    star = Some((after, from + 1));
                    (after, from + 1)
                }
                (_, Some((after, from, whole))) => {
                    let step =
                        if whole { text[from..].iter().position(|byte| *byte == b'/') } else { Some(0) };
                    let Some(next) = step.map(|step| from + step + 1).filter(|next| *next <= text.len())
                    else {
                        return false;
                    };
                    star = None;
                    deep = Some((after, next, whole));
                    (after, next)
                }
                _ => return false,
            };
        }
    }

    fn takes(&self, token: Token, byte: u8, fold: bool) -> bool {
        match token {
            Token::Byte(wanted) => wanted == byte || (fold && wanted == byte.to_ascii_lowercase()),
            Token::Any => byte != b'/',
            Token::Set(number) => has(&self.sets[number as usize], byte),
            Token::Star | Token::Directories | Token::Everything => false,
        }
    }
}

fn byte(token: &Token) -> Option<u8> {
    if let Token::Byte(byte) = token { Some(*byte) } else { None }
}

/// Compares a literal, folded already if `fold`, with a text of any case.
pub(in crate::rules) fn equal(literal: &[u8], text: &[u8], fold: bool) -> bool {
    if fold { literal.eq_ignore_ascii_case(text) } else { literal == text }
}

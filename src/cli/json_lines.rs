//! Answers each argument, or each line of standard input, with one JSON object on a line.
//!
//! Must not know: what is asked.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, IsTerminal as _, Read, Write},
    process::ExitCode,
};

use serde::Serialize;

/// Longest line that is read, in bytes; input of any number of lines is answered in constant memory.
const LONGEST_LINE_BYTES: usize = 1024 * 1024;

/// The argument that stands for the lines of standard input.
const STANDARD_INPUT: &str = "-";

/// Answers the arguments in order; no argument at all means standard input.
///
/// Ends with 0 when every line was answered, also where the reader of the answers left early; 1 when a line could not
/// be read (the others are answered) or when reading or writing failed.
pub(super) fn answer_all<A: Serialize>(
    arguments: &[String],
    answer: impl Fn(&str) -> A,
) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let answered = answer_into(&mut out, arguments, answer);
    match answered.and_then(|unread| out.flush().map(|()| unread)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // `| head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clave-otp: reading or writing stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer_into<A: Serialize>(
    out: &mut impl Write,
    arguments: &[String],
    answer: impl Fn(&str) -> A,
) -> io::Result<u64> {
    let from_input = [STANDARD_INPUT.to_owned()];
    let arguments = if arguments.is_empty() {
        &from_input
    } else {
        arguments
    };
    let mut unread = 0;
    for argument in arguments {
        if argument == STANDARD_INPUT {
            let input = io::stdin().lock();
            if input.is_terminal() {
                eprintln!("Reading standard input, one a line; Ctrl-D ends it.");
            }
            unread += answer_lines(out, input, &answer)?;
        } else {
            write_line(out, &answer(argument))?;
        }
    }
    Ok(unread)
}

/// Answers each line and tells how many could not be read; says on standard error which.
fn answer_lines<A: Serialize>(
    out: &mut impl Write,
    input: impl Read,
    answer: impl Fn(&str) -> A,
) -> io::Result<u64> {
    let mut input = BufReader::new(input);
    let mut bytes = Vec::new();
    let mut unread = 0;
    let mut number = 0_u64;
    loop {
        if input.buffer().is_empty() {
            // A program that waits for the answer before it asks again gets it now.
            out.flush()?;
        }
        bytes.clear();
        // Room for the line and the two characters of its end.
        let longest = LONGEST_LINE_BYTES as u64 + 2;
        if (&mut input).take(longest).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(unread);
        }
        number += 1;
        let ended = bytes.ends_with(b"\n");
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let problem = if line.len() > LONGEST_LINE_BYTES {
            if !ended {
                input.skip_until(b'\n')?;
            }
            "is longer than 1 MiB: shorten it"
        } else if let Ok(text) = std::str::from_utf8(line) {
            write_line(out, &answer(text))?;
            continue;
        } else {
            "is not UTF-8: convert it"
        };
        eprintln!("clave-otp: line {number} of standard input {problem}");
        unread += 1;
    }
}

fn write_line(out: &mut impl Write, answer: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(input: &[u8]) -> (String, u64) {
        let mut out = Vec::new();
        let unread = answer_lines(&mut out, input, str::len).unwrap();
        (String::from_utf8(out).unwrap(), unread)
    }

    #[test]
    fn every_line_is_answered_whatever_ends_it() {
        assert_eq!(lengths(b""), (String::new(), 0));
        assert_eq!(lengths(b"a\n\nbcd\r\nef"), ("1\n0\n3\n2\n".to_owned(), 0));
    }

    #[test]
    fn a_line_that_cannot_be_read_leaves_the_others() {
        let mut input = b"a\n\xff\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', 3 * LONGEST_LINE_BYTES));
        input.extend(b"\nbc\n");
        assert_eq!(lengths(&input), ("1\n2\n".to_owned(), 2));
    }

    #[test]
    fn the_longest_line_is_answered_and_one_byte_more_is_not() {
        for ending in ["\n", "\r\n", ""] {
            let longest = "x".repeat(LONGEST_LINE_BYTES);
            let answered = lengths(format!("{longest}{ending}").as_bytes());
            assert_eq!(answered, (format!("{LONGEST_LINE_BYTES}\n"), 0));
            let refused = lengths(format!("x{longest}{ending}").as_bytes());
            assert_eq!(refused, (String::new(), 1));
        }
    }
}

//! Reads a form, by its encoding (`application/x-www-form-urlencoded`) or by its parts (`multipart/form-data`, RFC 7578).
//!
//! Must not know: what the fields mean.

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use url::form_urlencoded;

use crate::simulator::record::Refusal;

/// Most fields of a form.
const MOST_FIELDS: usize = 64;

/// The media types of a form.
pub(in crate::simulator) const ENCODED: &str = "application/x-www-form-urlencoded";
/// A form by its parts.
pub(in crate::simulator) const PARTS: &str = "multipart/form-data";

/// A form as it came.
#[derive(Default)]
pub(super) struct Form {
    /// Names and values in the order of the wire.
    pub fields: Vec<(String, String)>,
    pub files: Vec<FilePart>,
}

/// A part with a file name.
pub(super) struct FilePart {
    pub file_name: String,
    pub content: Vec<u8>,
}

impl Form {
    /// Reads a whole body by its `Content-Type`.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = media_type.ok_or(Refusal::MediaType)?;
        let form = match boundary(media_type) {
            Some(boundary) => parts(body, &boundary).ok_or(Refusal::NotAForm)?,
            None if media_type.to_ascii_lowercase().starts_with(PARTS) => {
                return Err(Refusal::NotAForm);
            }
            None => encoded(body)?,
        };
        let size = form.fields.len() + form.files.len();
        if size > MOST_FIELDS {
            return Err(Refusal::NotAForm);
        }
        Ok(form)
    }

    /// The value of a field; `None` where it is missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field that says something.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }
}

fn encoded(body: &[u8]) -> Result<Form, Refusal> {
    std::str::from_utf8(body).map_err(|_| Refusal::NotUtf8)?;
    let fields = form_urlencoded::parse(body).into_owned().collect();
    Ok(Form {
        fields,
        files: Vec::new(),
    })
}

/// The boundary of a `Content-Type` of parts.
fn boundary(media_type: &str) -> Option<String> {
    let (kind, parameters) = media_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case(PARTS) {
        return None;
    }
    let parameter = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then_some(value)
    })?;
    let boundary = parameter.trim().trim_matches('"');
    (1..=70)
        .contains(&boundary.len())
        .then(|| boundary.to_owned())
}

fn parts(body: &[u8], boundary: &str) -> Option<Form> {
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n{opening}");
    let mut form = Form::default();
    let start = find(body, opening.as_bytes())?;
    let mut rest = &body[start + opening.len()..];
    while !rest.starts_with(b"--") {
        let end_of_line = find(rest, b"\r\n")?;
        rest = &rest[end_of_line + 2..];
        // A part without a head begins with the empty line at once; it has no name then.
        let end_of_head = find(rest, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&rest[..end_of_head]).ok()?;
        rest = &rest[end_of_head + 4..];
        let end = find(rest, delimiter.as_bytes())?;
        take(&mut form, head, &rest[..end])?;
        rest = &rest[end + delimiter.len()..];
    }
    Some(form)
}

fn take(form: &mut Form, head: &str, content: &[u8]) -> Option<()> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let name = parameter(disposition, "name")?;
    if let Some(file_name) = parameter(disposition, "filename") {
        form.files.push(FilePart {
            file_name,
            content: content.to_vec(),
        });
    } else {
        let value = String::from_utf8(content.to_vec()).ok()?;
        form.fields.push((name, value));
    }
    Some(())
}

/// A quoted parameter of a disposition.
fn parameter(disposition: &str, wanted: &str) -> Option<String> {
    disposition.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim() == wanted).then(|| value.to_owned())
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(media_type: &'static str, body: &[u8]) -> Result<Form, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Form::read(&headers, body)
    }

    #[test]
    fn both_kinds_of_form_say_the_same() {
        let by_encoding = read(ENCODED, "Mensaje=su+c%C3%B3digo+%2B&Resp=JSON".as_bytes()).unwrap();
        let parts = "preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"Mensaje\"\r\n\r\n\
            su código +\r\n--x y\r\ncontent-disposition: form-data; name=Resp\r\n\
            Content-Type: text/plain\r\n\r\nJSON\r\n--x y\r\nContent-Disposition: form-data; \
            name=\"f\"; filename=\"a.pdf\"\r\n\r\n%PDF\r\n--\r\n--x y--\r\nepilogue";
        let by_parts = read("multipart/form-data; boundary=\"x y\"", parts.as_bytes()).unwrap();
        for form in [&by_encoding, &by_parts] {
            assert_eq!(form.get("Mensaje"), Some("su código +"));
            assert_eq!(form.get("Resp"), Some("JSON"));
            assert_eq!(form.get("Movil"), None);
        }
        assert_eq!(by_parts.files[0].file_name, "a.pdf");
        assert_eq!(by_parts.files[0].content, b"%PDF\r\n--");
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for (media_type, body) in [
            ("multipart/form-data", "--x--"),
            ("multipart/form-data; boundary=x", ""),
            (
                "multipart/form-data; boundary=x",
                "--x\r\n\r\n\r\nvalue\r\n--x--",
            ),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nwithout an end",
            ),
        ] {
            let refused = read(media_type, body.as_bytes()).err();
            assert_eq!(refused, Some(Refusal::NotAForm), "{media_type} {body:?}");
        }
        assert_eq!(read(ENCODED, b"a=\xff").err(), Some(Refusal::NotUtf8));
        let many = "a=1&".repeat(65);
        assert_eq!(
            read(ENCODED, many.as_bytes()).err(),
            Some(Refusal::NotAForm)
        );
    }
}

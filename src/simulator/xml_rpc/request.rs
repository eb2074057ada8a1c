//! Reads an XML-RPC call of the platform's one simulated method.
//!
//! Must not know: HTTP, accounts, the script. It reads with another parser than the gateway's adapter writes with, so that
//! both cannot share a bug, and it is strict: what the platform forgives is not public.

use roxmltree::Node;
use secrecy::SecretString;

use crate::{
    domain::SecretText,
    simulator::{
        record::{Refusal, WirePhone},
        xml,
    },
};

/// The one method that is simulated (platform API manual; confidence A).
const METHOD: &str = "MensajeriaNegocios.enviarSMS";

/// A call that has the right shape. Nothing in it has been judged yet.
#[derive(Debug)]
pub(super) struct Call {
    pub login: String,
    pub password: SecretString,
    pub messages: Vec<WireMessage>,
}

/// One message as it stood on the wire.
#[derive(Debug)]
pub(super) struct WireMessage {
    pub phone: WirePhone,
    pub text: SecretText,
    pub sender: String,
}

impl Call {
    /// Reads the body of a request.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let text = xml::decode(body)?;
        let document = xml::parse(&text).ok_or(Refusal::NotXml)?;
        read_call(document.root_element())
    }
}

fn read_call(root: Node<'_, '_>) -> Result<Call, Refusal> {
    if !root.has_tag_name("methodCall") {
        return Err(Refusal::NotACall);
    }
    let [name, params] = children(root, Refusal::NotACall)?;
    if !name.has_tag_name("methodName") || !params.has_tag_name("params") {
        return Err(Refusal::NotACall);
    }
    if leaf(name)?.trim() != METHOD {
        return Err(Refusal::UnknownMethod);
    }
    let [login, password, messages] = children(params, Refusal::WrongParameters)?;
    Ok(Call {
        login: string(only_child(login, "param")?)?,
        password: string(only_child(password, "param")?)?.into(),
        messages: items(only_child(messages, "param")?)?
            .into_iter()
            .map(read_message)
            .collect::<Result<_, _>>()?,
    })
}

fn read_message(value: Node<'_, '_>) -> Result<WireMessage, Refusal> {
    let fields = items(value)?;
    let [phone, text, sender] = fields.as_slice() else {
        return Err(Refusal::WrongParameters);
    };
    Ok(WireMessage {
        phone: WirePhone::new(&string(*phone)?),
        text: SecretText::new(string(*text)?),
        sender: string(*sender)?,
    })
}

fn children<'a, 'input, const N: usize>(
    parent: Node<'a, 'input>,
    otherwise: Refusal,
) -> Result<[Node<'a, 'input>; N], Refusal> {
    xml::elements(parent)
        .ok_or(otherwise)?
        .try_into()
        .map_err(|_| otherwise)
}

fn only_child<'a, 'input>(
    parent: Node<'a, 'input>,
    name: &str,
) -> Result<Node<'a, 'input>, Refusal> {
    if !parent.has_tag_name(name) {
        return Err(Refusal::WrongParameters);
    }
    let [child] = children(parent, Refusal::WrongParameters)?;
    Ok(child)
}

/// What stands in `<value><array><data>…</data></array></value>`.
fn items<'a, 'input>(value: Node<'a, 'input>) -> Result<Vec<Node<'a, 'input>>, Refusal> {
    let data = only_child(only_child(value, "value")?, "array")?;
    if !data.has_tag_name("data") {
        return Err(Refusal::WrongParameters);
    }
    xml::elements(data).ok_or(Refusal::WrongParameters)
}

/// What stands in `<value><string>…</string></value>`.
fn string(value: Node<'_, '_>) -> Result<String, Refusal> {
    if !value.has_tag_name("value") {
        return Err(Refusal::WrongParameters);
    }
    let [string] = children(value, Refusal::NotAString)?;
    if !string.has_tag_name("string") {
        return Err(Refusal::NotAString);
    }
    leaf(string)
}

fn leaf(node: Node<'_, '_>) -> Result<String, Refusal> {
    xml::leaf(node).ok_or(Refusal::NotAString)
}

#[cfg(test)]
mod tests {
    use encoding_rs::ISO_8859_15;

    use super::*;

    fn call(messages: &str) -> String {
        format!(
            "<methodCall><methodName>{METHOD}</methodName><params>\
             <param><value><string>madrid</string></value></param>\
             <param><value><string>secret</string></value></param>\
             <param><value><array><data>{messages}</data></array></value></param>\
             </params></methodCall>"
        )
    }

    fn message(text: &str) -> String {
        format!(
            "<value><array><data><value><string>600000001</string></value>\
             <value><string>{text}</string></value><value><string>217812</string></value>\
             </data></array></value>"
        )
    }

    #[test]
    fn the_same_text_is_read_from_every_encoding() {
        let utf8 = call(&message("su código de niño vale 3 €"));
        let declared = format!("<?xml version='1.0' encoding='utf-8' ?>\n{utf8}");
        let with_mark = format!("\u{feff}{declared}");
        let references = call(&message("su c&#243;digo de ni&#xF1;o vale 3 &#8364;"));
        let latin = format!("<?xml version=\"1.0\" encoding = \"ISO-8859-15\"?>{utf8}");
        let latin = ISO_8859_15.encode(&latin).0;
        assert!(latin.contains(&0xA4) && latin.contains(&0xF1));
        for body in [
            utf8.as_bytes(),
            declared.as_bytes(),
            with_mark.as_bytes(),
            references.as_bytes(),
            &latin,
        ] {
            let call = Call::read(body).unwrap();
            assert_eq!(call.login, "madrid");
            assert_eq!(call.messages[0].text.expose(), "su código de niño vale 3 €");
        }
    }

    #[test]
    fn blanks_between_elements_mean_nothing_and_blanks_in_strings_stay() {
        let spaced = call(&message(" a  b &amp; &lt;c&gt; <![CDATA[<&]]> "))
            .replace("><", ">\n  <")
            .replace("<string>", "<!-- leaf --><string>");
        let call = Call::read(spaced.as_bytes()).unwrap();
        assert_eq!(call.messages[0].text.expose(), " a  b & <c> <& ");
        assert!(
            Call::read(self::call("").as_bytes())
                .unwrap()
                .messages
                .is_empty()
        );
    }

    #[test]
    fn what_is_not_such_a_call_is_refused_with_its_reason() {
        let good = call(&message("x"));
        let cases = [
            (String::new(), Refusal::NotXml),
            (good.replace("</params>", ""), Refusal::NotXml),
            (
                format!("<!DOCTYPE x [<!ENTITY e 'e'>]>{good}"),
                Refusal::NotXml,
            ),
            (
                good.replace("methodCall", "methodResponse"),
                Refusal::NotACall,
            ),
            (good.replace("params>", "parameters>"), Refusal::NotACall),
            (
                good.replace("enviarSMS", "enviarAGrupoContacto"),
                Refusal::UnknownMethod,
            ),
            (
                good.replace("<param><value><string>secret</string></value></param>", ""),
                Refusal::WrongParameters,
            ),
            (
                good.replace("<value><string>217812</string></value>", ""),
                Refusal::WrongParameters,
            ),
            (
                good.replace("<array>", "<array>stray"),
                Refusal::WrongParameters,
            ),
            (
                good.replace("<string>600000001</string>", "<int>600000001</int>"),
                Refusal::NotAString,
            ),
            (
                good.replace("<string>600000001</string>", "600000001"),
                Refusal::NotAString,
            ),
            (good.replace(">x<", "><b>x</b><"), Refusal::NotAString),
            (
                format!("<?xml version='1.0' encoding='utf-16'?>{good}"),
                Refusal::UnknownEncoding,
            ),
            (
                format!("<?xml version='1.0' encoding='ISO-8859-1'?>{good}"),
                Refusal::UnknownEncoding,
            ),
        ];
        for (body, why) in cases {
            assert_eq!(Call::read(body.as_bytes()).err(), Some(why), "{body}");
        }
        let latin_without_declaration = ISO_8859_15.encode(&call(&message("ñ"))).0.into_owned();
        assert_eq!(
            Call::read(&latin_without_declaration).err(),
            Some(Refusal::NotUtf8)
        );
    }

    #[test]
    fn a_mountain_of_nodes_is_refused_in_bounded_memory() {
        let wide = format!("<a>{}</a>", "<a/>".repeat(300_000));
        assert_eq!(Call::read(wide.as_bytes()).err(), Some(Refusal::NotXml));
        let few = format!("<a>{}</a>", "<a/>".repeat(3_000));
        assert_eq!(Call::read(few.as_bytes()).err(), Some(Refusal::NotACall));
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        assert!(Call::read(deep.as_bytes()).is_err());
    }
}

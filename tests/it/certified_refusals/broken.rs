//! Requests for certified messages, each of which breaks one rule.

use clave_otp::grpc::proto::{
    CertifiedAddressee, CertifiedAttachment, CertifiedIdentification,
    CertifiedIdentificationMethod, CertifiedMessageKind, SendCertifiedMessageRequest,
    certified_attachment::Content,
};

use crate::{
    certified::{addressee, request},
    support::seconds_after,
};

/// A sound request with one thing changed.
fn with(change: impl FnOnce(&mut SendCertifiedMessageRequest)) -> SendCertifiedMessageRequest {
    let mut request = request();
    change(&mut request);
    request
}

fn text(text: &str) -> SendCertifiedMessageRequest {
    with(|request| request.text = text.into())
}

fn to(numbers: impl IntoIterator<Item = u32>) -> SendCertifiedMessageRequest {
    let number = |number| addressee(&format!("+34600000{number:03}"));
    let addressees = numbers.into_iter().map(number).collect();
    with(|request| request.addressees = addressees)
}

fn contract(kind: CertifiedMessageKind) -> SendCertifiedMessageRequest {
    with(|request| request.kind = kind.into())
}

fn holding(content: Option<Content>) -> SendCertifiedMessageRequest {
    with(|request| request.attachments = vec![CertifiedAttachment { content }])
}

fn identified(
    request: SendCertifiedMessageRequest,
    method: CertifiedIdentificationMethod,
    number: &str,
) -> SendCertifiedMessageRequest {
    let identification = Some(CertifiedIdentification {
        method: method.into(),
        document_number: number.into(),
    });
    SendCertifiedMessageRequest {
        identification,
        ..request
    }
}

fn trying_for(seconds: i64) -> SendCertifiedMessageRequest {
    with(|request| request.validity = Some(prost_types::Duration { seconds, nanos: 0 }))
}

/// Each breaks one rule about who is asked and what is said.
pub(super) fn words() -> Vec<(&'static str, SendCertifiedMessageRequest)> {
    let tagged = CertifiedAddressee {
        recipient: "+34600000001".into(),
        variables: vec!["(LINK:http://x.test)".into()],
    };
    vec![
        (
            "request_id",
            with(|request| request.request_id = "1".into()),
        ),
        (
            "administration",
            with(|request| request.administration = "x".into()),
        ),
        (
            "account",
            with(|request| request.account = "madrid-mn".into()),
        ),
        ("addressees", to([])),
        ("addressees", to([1, 1])),
        ("addressees", to(100..201)),
        ("addressees.variables", text("Hola {2}")),
        (
            "addressees.variables",
            with(|request| request.addressees = vec![tagged]),
        ),
        ("text", text("")),
        ("text", text("lea (FILE:2:a.pdf)")),
        ("text", text("lea ( link :x)")),
        ("text", text("termina en (")),
        ("text", text("(Variable_1)")),
        ("text", text("{11}")),
        ("text", text(&"a".repeat(1001))),
        (
            "reference",
            with(|request| request.reference = "x".repeat(65)),
        ),
    ]
}

/// Each breaks one rule about kinds, attachments, times and proofs.
pub(super) fn options() -> Vec<(&'static str, SendCertifiedMessageRequest)> {
    use CertifiedIdentificationMethod::{Document, OneTimePin, Unspecified};
    use CertifiedMessageKind::{
        ContractByAcceptance, ContractByReply, ContractBySignature, ContractByVerifiedSignature,
    };
    let number = "identification.document_number";
    let unknown = "certifiedMessages/6f1ed002-ab5c-4d3e-8a0e-1e2d3c4b5a69";
    let file = |name: &str| Some(Content::LibraryFile(name.into()));
    let twice = "2027-10-31T00:30:00Z".parse().unwrap();
    let no_pdf = SendCertifiedMessageRequest {
        kind: ContractByVerifiedSignature.into(),
        ..holding(file("a.doc"))
    };
    let accepted = SendCertifiedMessageRequest {
        acceptance_days: 5,
        ..contract(ContractByReply)
    };
    vec![
        ("kind", with(|request| request.kind = 0)),
        ("kind", with(|request| request.kind = 99)),
        (
            "attachments.library_file",
            holding(file("demasiadolargo.pdf")),
        ),
        (
            "attachments.pdf",
            holding(Some(Content::Pdf(b"MZ".to_vec()))),
        ),
        ("attachments.content", holding(None)),
        ("attachments", contract(ContractByAcceptance)),
        ("attachments", contract(ContractBySignature)),
        ("attachments", no_pdf),
        (
            "send_time",
            with(|request| request.send_time = Some(seconds_after(jiff::Timestamp::UNIX_EPOCH, 0))),
        ),
        ("send_time", with(|request| request.send_time = Some(twice))),
        ("validity", trying_for(59)),
        ("validity", trying_for(-60)),
        ("validity", trying_for(21 * 86_400)),
        (
            "acceptance_days",
            with(|request| request.acceptance_days = 16),
        ),
        (
            "acceptance_days",
            with(|request| request.acceptance_days = -1),
        ),
        ("acceptance_days", accepted),
        (
            "identification",
            identified(contract(ContractByReply), OneTimePin, ""),
        ),
        (
            "identification.method",
            identified(request(), Unspecified, ""),
        ),
        (number, identified(request(), Document, "1")),
        (number, identified(request(), OneTimePin, "00000000T")),
        (number, identified(to([1, 2]), Document, "00000000T")),
        ("group", with(|request| request.group = "x".into())),
        ("group", with(|request| request.group = unknown.into())),
    ]
}

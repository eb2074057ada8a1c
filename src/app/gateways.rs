//! Settings → the adapter of an account: the one place that knows which protocol is spoken by what.
//!
//! Must not know: when anything is sent.

use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::StartError;
use crate::{
    clock::Clock,
    config::{
        self, AccountSettings, CodeEffect, ExpiryFormat, MensatekService, NumberFormat, Protocol,
    },
    gateway::{
        CodeMap, CodeMeaning, Effect, ExpiryForm, Gateway, GatewaySetupError, InternationalFormat,
        Now, NumberForm,
        http::HttpSettings,
        mensatek::{Contact, DownloadLimits, MensatekGateway, MensatekSettings, Service},
        rest::{RestGateway, RestSettings},
        soap::{SoapGateway, SoapSettings},
        xml_rpc::{WireEncoding, XmlRpcGateway, XmlRpcSettings},
    },
};

/// The adapter of an account; asks nobody anything.
pub(super) fn gateway(
    settings: &AccountSettings,
    (api_user, password): (SecretString, SecretString),
    download: DownloadLimits,
    report_url: Option<Url>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Gateway>, StartError> {
    let http = http(settings)?;
    let international_format = match settings.international_format {
        config::InternationalFormat::DoubleZero => InternationalFormat::DoubleZero,
        config::InternationalFormat::Plus => InternationalFormat::Plus,
    };
    let made = match settings.protocol {
        Protocol::XmlRpc => shared(XmlRpcGateway::new(XmlRpcSettings {
            http,
            api_user,
            password,
            encoding: match settings.encoding {
                config::WireEncoding::Iso8859_15 => WireEncoding::Iso8859_15,
                config::WireEncoding::Utf8 => WireEncoding::Utf8,
            },
            international_format,
            codes: codes(settings),
        })),
        Protocol::Soap => shared(SoapGateway::new(SoapSettings {
            http,
            api_user,
            password,
            report_url,
            international_format,
            expiry: expiry(settings, clock),
            codes: codes(settings),
        })),
        Protocol::Rest => shared(RestGateway::new(RestSettings {
            http,
            api_user,
            password,
            report_url,
            number_form: match settings.number_format {
                NumberFormat::E164 => NumberForm::E164,
                NumberFormat::National => NumberForm::National {
                    abroad: international_format,
                },
            },
            expiry: expiry(settings, clock),
            codes: codes(settings),
        })),
        Protocol::Mensatek => shared(MensatekGateway::new(MensatekSettings {
            http,
            api_user,
            api_token: password,
            service: service(settings),
            contact: contact(settings),
            download,
            reports: report_url.is_some(),
            validity: settings.mensatek.as_ref().is_some_and(|own| own.validity),
            codes: codes(settings),
        })),
    };
    made.map_err(|source| StartError::Gateway {
        account: settings.id.clone(),
        source,
    })
}

fn shared<G: Gateway + 'static>(
    made: Result<G, GatewaySetupError>,
) -> Result<Arc<dyn Gateway>, GatewaySetupError> {
    made.map(|gateway| Arc::new(gateway) as Arc<dyn Gateway>)
}

fn http(settings: &AccountSettings) -> Result<HttpSettings, StartError> {
    let extra_ca_pem = settings
        .extra_ca_file
        .as_ref()
        .map(std::fs::read)
        .transpose()
        .map_err(|source| StartError::ExtraCa {
            account: settings.id.clone(),
            source,
        })?;
    Ok(HttpSettings {
        connect_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
        idle_connections: settings.max_in_flight.get() as usize,
        answer_limit_bytes: settings.answer_limit_bytes,
        extra_ca_pem,
        ..HttpSettings::new(settings.endpoint.clone())
    })
}

fn expiry(settings: &AccountSettings, clock: &Arc<dyn Clock>) -> ExpiryForm {
    match settings.expiry_format {
        ExpiryFormat::Duration => ExpiryForm::Duration,
        ExpiryFormat::DateTime => {
            let clock = Arc::clone(clock);
            ExpiryForm::DateTime(Now::new(move || clock.now()))
        }
    }
}

fn contact(settings: &AccountSettings) -> Option<Contact> {
    let contact = settings.mensatek.as_ref()?.contact.as_ref()?;
    Some(Contact {
        name: contact.name.to_string(),
        phone: contact.phone.to_string(),
        nif: contact.nif.as_str().to_owned(),
    })
}

/// Configuration takes no certified account without a contact.
fn service(settings: &AccountSettings) -> Service {
    let service = settings.mensatek.as_ref().map(|own| own.service);
    match (service, contact(settings)) {
        (Some(MensatekService::Certified), Some(contact)) => Service::Certified(contact),
        _ => Service::Sms,
    }
}

fn codes(settings: &AccountSettings) -> CodeMap {
    let meanings = settings.codes.iter().map(|(code, meaning)| {
        let effect = match meaning.effect {
            CodeEffect::Credentials => Effect::Credentials,
            CodeEffect::Quota => Effect::Quota,
            CodeEffect::Retry => Effect::Retry,
            CodeEffect::Rejected => Effect::Rejected,
        };
        let reason = meaning.reason.clone();
        (*code, CodeMeaning { reason, effect })
    });
    CodeMap::new(meanings.collect())
}

//! A receiver of delivery reports for the simulator's stories: a small server on loopback that keeps what comes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use tokio::net::TcpListener;

use crate::simulator_soap::text_of;

/// What acknowledges a report over SOAP; over REST any answer with status 200 does.
pub(crate) const ACKNOWLEDGED: &str = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\">\
    <e:Body><r:deliveryReportRes xmlns:r=\"http://www.telefonica.es/MI/InterfazSimplificado/schemas\">\
    <Version>1.0</Version><Status><StatusCode>1000</StatusCode><StatusText>Success</StatusText>\
    </Status></r:deliveryReportRes></e:Body></e:Envelope>";

/// A report as it came.
#[derive(Clone)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn field(&self, name: &str) -> String {
        text_of(&self.body, name).unwrap()
    }
}

/// Takes reports on loopback, and acknowledges those that nothing else is planned for.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    came: Arc<Mutex<Vec<Came>>>,
    planned: Arc<Mutex<VecDeque<(u16, String)>>>,
    looks: Arc<Mutex<Vec<String>>>,
    refused_looks: Arc<Mutex<usize>>,
}

impl Receiver {
    /// The receiver and its address for reports, with a token in it.
    pub(crate) async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new()
            .fallback(take)
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, format!("http://{address}/reports/madrid/token"))
    }

    /// The next report is answered so.
    pub(crate) fn plan(&self, status: u16, body: &str) {
        let planned = (status, body.to_owned());
        self.planned.lock().unwrap().push_back(planned);
    }

    /// So many looks at the address are answered by 404.
    pub(crate) fn refuse_looks(&self, count: usize) {
        *self.refused_looks.lock().unwrap() = count;
    }

    /// The methods of the requests that only looked at the address.
    pub(crate) fn looks(&self) -> Vec<String> {
        self.looks.lock().unwrap().clone()
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    pub(crate) fn statuses(&self) -> Vec<String> {
        let came = self.came();
        came.iter()
            .map(|came| came.field("MessageStatus"))
            .collect()
    }
}

async fn take(State(receiver): State<Receiver>, request: Request) -> (StatusCode, String) {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 100_000).await.unwrap().to_vec();
    if head.method != "POST" {
        assert!(body.is_empty() && !head.headers.contains_key("authorization"));
        receiver.looks.lock().unwrap().push(head.method.to_string());
        let mut refused = receiver.refused_looks.lock().unwrap();
        let well = *refused == 0;
        *refused = refused.saturating_sub(1);
        let status = if well {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        return (status, String::new());
    }
    receiver.came.lock().unwrap().push(Came {
        path: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body).unwrap(),
    });
    let planned = receiver.planned.lock().unwrap().pop_front();
    let (status, body) = planned.unwrap_or((200, ACKNOWLEDGED.to_owned()));
    (StatusCode::from_u16(status).unwrap(), body)
}

//! An answer that is read piece by piece: never held whole, and no faster than its reader takes it.
//!
//! Must not know: what it holds.

use bytes::Bytes;
use reqwest::{Response, StatusCode};

use super::{Answer, Broken, ExchangeError, read};

/// An answer whose head has come.
#[derive(Debug)]
pub struct OpenAnswer {
    response: Response,
    /// Known of what has not been read alone, so it is asked before.
    announced_bytes: Option<u64>,
    whole_limit_bytes: usize,
}

impl OpenAnswer {
    pub(super) fn new(response: Response, whole_limit_bytes: usize) -> Self {
        Self {
            announced_bytes: response.content_length(),
            response,
            whole_limit_bytes,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// How long it says that it is, in bytes.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.announced_bytes
    }

    /// The next piece; `None` at its end. The connection is read no further than that.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        let status = Some(self.response.status());
        self.response.chunk().await.map_err(|error| {
            let kind = if error.is_timeout() {
                Broken::Timeout
            } else {
                Broken::TruncatedAnswer
            };
            ExchangeError::Broken { kind, status }
        })
    }

    /// All of it behind what was read already, within the limit of whole answers.
    pub async fn whole(self, begin: Bytes) -> Result<Answer, ExchangeError> {
        let status = self.response.status();
        let limit = self.whole_limit_bytes.saturating_sub(begin.len());
        let rest = read(self.response, limit).await?;
        let body = [begin.as_ref(), rest.body.as_slice()].concat();
        Ok(Answer { status, body })
    }
}

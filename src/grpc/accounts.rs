//! `clave.otp.v1.AccountService`.

use jiff::civil::Date;
use secrecy::ExposeSecret as _;
use tonic::{Request, Response};

use super::{
    Services,
    answer::{Answer, parse_account, refuse, refuse_all},
    convert::{Fields, to_proto_duration, to_proto_time},
    entitlements::caller_of,
    proto::{
        self, Account, GetAccountRequest, GetAccountResponse, LaneState, ListAccountsRequest,
        ListAccountsResponse, PauseAccountRequest, PauseAccountResponse, ResumeAccountRequest,
        ResumeAccountResponse, account_service_server::AccountService,
    },
};
use crate::{
    domain::{AccountId, Dir3},
    intake::Refusal,
    status::{AccountAlias, AccountStatus, DEFAULT_PAGE_SIZE, LaneClosure, MAX_PAGE_SIZE},
};

/// The service.
pub(super) struct Accounts(Services);

impl Accounts {
    pub(super) fn new(services: Services) -> Self {
        Self(services)
    }

    async fn list(&self, request: Request<ListAccountsRequest>) -> Answer<ListAccountsResponse> {
        let caller = caller_of(&request)?;
        let message = request.into_inner();
        let mut fields = Fields::default();
        let page_size = fields.page_size(message.page_size);
        let administration =
            fields.optional("administration", &message.administration, Dir3::parse);
        // The token is the last account of the page before.
        let after = fields.optional("page_token", &message.page_token, AccountId::parse);
        let page_size = fields.all(page_size).map_err(refuse_all)?;
        let limit = match page_size {
            0 => DEFAULT_PAGE_SIZE,
            size => size.min(MAX_PAGE_SIZE),
        } as usize;
        let mut accounts = self
            .0
            .accounts
            .list(&caller, administration.as_ref(), after.as_ref(), limit + 1)
            .await
            .map_err(refuse)?;
        let has_more = accounts.len() > limit;
        accounts.truncate(limit);
        let last = accounts.last().filter(|_| has_more);
        Ok(Response::new(ListAccountsResponse {
            next_page_token: last
                .map(|last| last.profile.id.to_string())
                .unwrap_or_default(),
            accounts: accounts.iter().map(to_proto_account).collect(),
        }))
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Answer<ListAccountsResponse> {
        let metadata = request.metadata().clone();
        self.0.in_time(&metadata, self.list(request)).await
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Answer<GetAccountResponse> {
        let caller = caller_of(&request)?;
        let id = parse_account(&request.get_ref().name)?;
        let account = self.0.accounts.get(&caller, &id);
        let account = self
            .0
            .in_time(request.metadata(), answered(account))
            .await?;
        Ok(account.map(|account| GetAccountResponse { account }))
    }

    async fn pause_account(
        &self,
        request: Request<PauseAccountRequest>,
    ) -> Answer<PauseAccountResponse> {
        let caller = caller_of(&request)?;
        let id = parse_account(&request.get_ref().name)?;
        let account = self.0.accounts.pause(&caller, &id);
        let account = self
            .0
            .in_time(request.metadata(), answered(account))
            .await?;
        tracing::warn!(account = %id, caller = %caller.name, "grpc: an operator paused the account");
        Ok(account.map(|account| PauseAccountResponse { account }))
    }

    async fn resume_account(
        &self,
        request: Request<ResumeAccountRequest>,
    ) -> Answer<ResumeAccountResponse> {
        let caller = caller_of(&request)?;
        let id = parse_account(&request.get_ref().name)?;
        let account = self.0.accounts.resume(&caller, &id);
        let account = self
            .0
            .in_time(request.metadata(), answered(account))
            .await?;
        tracing::warn!(account = %id, caller = %caller.name, "grpc: an operator resumed the account");
        Ok(account.map(|account| ResumeAccountResponse { account }))
    }
}

async fn answered<E: Into<Refusal>>(
    status: impl Future<Output = Result<AccountStatus, E>>,
) -> Answer<Option<Account>> {
    let status = status.await.map_err(refuse)?;
    Ok(Response::new(Some(to_proto_account(&status))))
}

fn to_proto_account(status: &AccountStatus) -> Account {
    let AccountStatus {
        profile,
        closure,
        waiting,
        report,
        credit,
        aliases,
    } = status;
    let report = report.as_ref();
    let resting = report.is_some_and(|report| report.rests_until.is_some());
    let lane_state = match closure {
        Some(LaneClosure::Paused) => LaneState::Paused,
        Some(LaneClosure::CredentialsRejected) => LaneState::CredentialsRejected,
        Some(LaneClosure::NoCredit) => LaneState::NoCredit,
        None if resting => LaneState::Resting,
        None => LaneState::Open,
    };
    let latency = report
        .map(|report| report.latency)
        .filter(|latency| !latency.is_zero());
    Account {
        name: format!("accounts/{}", profile.id),
        administration: profile.administration.to_string(),
        gateway: profile.gateway.as_str().to_owned(),
        senders: profile.senders.iter().map(ToString::to_string).collect(),
        international_enabled: profile.international_enabled,
        lane_state: lane_state.into(),
        queue_length: i64::try_from(*waiting).unwrap_or(i64::MAX),
        in_flight: report.map_or(0, |report| {
            i32::try_from(report.in_flight).unwrap_or(i32::MAX)
        }),
        gateway_latency: latency.and_then(to_proto_duration),
        last_success_time: report
            .and_then(|report| report.last_success)
            .map(to_proto_time),
        last_failure_reason: report
            .and_then(|report| report.last_failure.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
        report_url: profile
            .report_url
            .as_ref()
            .map(|url| url.expose_secret().to_owned())
            .unwrap_or_default(),
        aliases: aliases.iter().map(to_proto_alias).collect(),
        credit: *credit,
    }
}

fn to_proto_alias(status: &AccountAlias) -> proto::AccountAlias {
    let record = status.record.as_ref();
    let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    proto::AccountAlias {
        alias: status.alias.as_str().to_owned(),
        status: record
            .map(|record| record.status.as_str().to_owned())
            .unwrap_or_default(),
        usable: status.is_usable,
        inscribed_on: day(record.and_then(|record| record.inscribed_on)),
        lapses_on: day(record.and_then(|record| record.lapses_on)),
        ends_on: day(record.and_then(|record| record.ends_on)),
        last_used_on: day(status.last_used_on),
        enabled_gateways: record
            .into_iter()
            .flat_map(|record| &record.enabled_gateways)
            .map(|gateway| gateway.as_str().to_owned())
            .collect(),
        warnings: status
            .standing
            .warnings
            .iter()
            .map(|warning| warning.as_str().to_owned())
            .collect(),
    }
}

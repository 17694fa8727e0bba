//! Tracing of STS calls: sends the trace context along, and sets AWS's request id on the call's span.

use aws_sdk_sts::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut},
    },
    error::BoxError,
};
use opentelemetry::{Context, KeyValue, propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

#[derive(Debug)]
pub(super) struct Propagate;

/// The id that AWS support asks for; CloudTrail records it too.
const REQUEST_ID: &str = "x-amzn-requestid";

impl Intercept for Propagate {
    fn name(&self) -> &'static str {
        "Propagate"
    }

    /// Runs after signing, so that the signature does not cover the trace context.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut fields = std::collections::HashMap::<String, String>::new();
        TraceContextPropagator::new().inject_context(&Context::current(), &mut fields);
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            context.request_mut().headers_mut().insert(name, value);
        }
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(id) = context.response().headers().get(REQUEST_ID) {
            Context::current().span().set_attribute(KeyValue::new("aws.request_id", id.to_owned()));
        }
        Ok(())
    }
}

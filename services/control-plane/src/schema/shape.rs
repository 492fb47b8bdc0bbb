//! What a method takes and gives as JSON Schema, read off the types of the function that does it.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{methods::Call, refusal::Refusal};

/// What a method takes and gives.
pub(crate) struct Shape {
    pub(crate) params: Schema,
    pub(crate) result: Schema,
}

/// Makes schemas of types: what is read differs from what is written, where one may leave out what the other must not.
pub(crate) struct Generators {
    reads: SchemaGenerator,
    writes: SchemaGenerator,
}

/// Parameters that describe themselves. The marker tells the two ways apart, which else might be one.
pub(crate) trait Takes<Marker>: DeserializeOwned {
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A type whose fields are known.
pub(crate) enum Typed {}
/// Anything, which is not looked at.
pub(crate) enum Untyped {}

impl<P: DeserializeOwned + JsonSchema> Takes<Typed> for P {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        P::json_schema(generator)
    }
}

impl Takes<Untyped> for IgnoredAny {
    fn schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

impl Default for Generators {
    fn default() -> Self {
        // Without references: names of types are ours, and two families may have the same.
        let settings =
            SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Self {
            reads: settings.clone().for_deserialize().into_generator(),
            writes: settings.for_serialize().into_generator(),
        }
    }
}

impl Generators {
    /// What the function `_of` takes and gives.
    pub(crate) fn shape<M, P: Takes<M>, R: JsonSchema>(
        &mut self,
        _of: impl AsyncFn(&Call, P) -> Result<R, Refusal>,
    ) -> Shape {
        Shape {
            params: P::schema(&mut self.reads),
            result: R::json_schema(&mut self.writes),
        }
    }
}

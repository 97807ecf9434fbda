//! Images: their records, and the files their data lies in.

mod upload;

use std::io;
use std::path::PathBuf;

use model::{Caller, Error, ImageId, Kind, ProjectId, Result, Scope};
use store::{Field, Json, Tx, Value, row};

pub use upload::ImageWriter;

use crate::list::{self, Page};
use crate::token::owner_of;
use crate::{Cloud, now_ms};

/// Formats whose data hextet can boot from, or load as kernel and ramdisk.
pub(crate) const DISK_FORMATS: [&str; 5] = ["raw", "qcow2", "aki", "ari", "ami"];
const CONTAINER_FORMATS: [&str; 5] = ["bare", "aki", "ari", "ami", "ovf"];
const VISIBILITIES: [&str; 4] = ["public", "community", "shared", "private"];

/// An image to make; its data comes later.
#[derive(Clone, Debug, Default)]
pub struct NewImage {
    pub id: Option<ImageId>,
    pub name: Option<String>,
    pub owner: Option<ProjectId>,
    pub visibility: Option<String>,
    pub disk_format: Option<String>,
    pub container_format: Option<String>,
    pub min_disk: u32,
    pub min_ram: u32,
    pub protected: bool,
    pub hidden: bool,
    pub tags: Vec<String>,
    pub properties: row::Metadata,
}

/// The image as it should be after an update: the caller changed a copy of the row.
pub type ImageUpdate = row::Image;

impl Cloud {
    /// An image the caller may see.
    pub fn get_image(&self, caller: &Caller, id: &ImageId) -> Result<row::Image> {
        self.store().read(|tx| visible(tx, caller, id))
    }

    /// The images the caller may see.
    pub fn list_images(&self, caller: &Caller, page: &Page) -> Result<Vec<row::Image>> {
        let mut page = page.clone();
        if page.order.is_empty() {
            page.order = vec![("created_ms".into(), store::Order::Descending)];
        }
        let mut query = page.query::<row::Image>()?;
        if !page.filters_on("hidden") {
            query = query.and("hidden", Value::Integer(0));
        }
        // Community images are shown to those who ask for them.
        let community = page.filters_on("visibility") || page.filters_on("id");
        if !caller.is_admin() {
            query.any.push(("visibility", Value::Text("public".into())));
            if community {
                query
                    .any
                    .push(("visibility", Value::Text("community".into())));
            }
            if let Scope::Project(project) = &caller.scope {
                query.any.push(("owner", project.to_value()));
            }
        }
        self.store().read(|tx| list::run(tx, &query))
    }

    /// A new image in status `queued`.
    pub fn create_image(&self, caller: &Caller, new: &NewImage) -> Result<row::Image> {
        caller.require_member()?;
        let now = now_ms();
        let image = row::Image {
            id: new.id.unwrap_or_else(ImageId::random),
            owner: owner(caller, new.owner.as_ref())?,
            name: new.name.clone(),
            status: "queued".into(),
            visibility: new.visibility.clone().unwrap_or_else(|| "shared".into()),
            disk_format: new.disk_format.clone(),
            container_format: new.container_format.clone(),
            size_bytes: None,
            virtual_size_bytes: None,
            checksum: None,
            sha512: None,
            min_disk: new.min_disk,
            min_ram: new.min_ram,
            protected: new.protected,
            hidden: new.hidden,
            properties: Json(new.properties.clone()),
            tags: Json(new.tags.clone()),
            created_ms: now,
            updated_ms: now,
        };
        check(caller, &image, None)?;
        self.store()
            .write(|tx| match tx.find::<row::Image>(image.id.to_value())? {
                Some(_) => Err(Error::conflict(format!(
                    "Image ID {} already exists!",
                    image.id
                ))),
                None => tx.insert(&image),
            })?;
        Ok(image)
    }

    /// Changes an image: `change` edits a copy.
    pub fn update_image(
        &self,
        caller: &Caller,
        id: &ImageId,
        mut change: impl FnMut(&mut ImageUpdate) -> Result<()>,
    ) -> Result<row::Image> {
        self.store().write(|tx| {
            let before = owned(tx, caller, id)?;
            let mut image = before.clone();
            change(&mut image)?;
            check(caller, &image, Some(&before))?;
            image.updated_ms = now_ms();
            tx.update(&image)?;
            Ok(image)
        })
    }

    /// Removes an image and its data. Servers made of it live on.
    pub fn delete_image(&self, caller: &Caller, id: &ImageId) -> Result<()> {
        self.store().write(|tx| {
            let image = owned(tx, caller, id)?;
            if image.protected {
                return Err(Error::Forbidden(format!(
                    "Image {id} is protected and cannot be deleted."
                )));
            }
            tx.delete::<row::Image>(id).map(drop)
        })?;
        // The record is what counts; a file that stays behind is removed at the next start.
        match std::fs::remove_file(self.image_file(id)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(image = %id, error = %e, "the data of a deleted image stays until the next start");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Where an image's data lies.
    pub fn image_file(&self, id: &ImageId) -> PathBuf {
        self.settings().images.join(id.to_string())
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The project an image is made for.
fn owner(caller: &Caller, named: Option<&ProjectId>) -> Result<ProjectId> {
    owner_of(caller, named).map_err(|e| match (e, named) {
        (Error::Invalid(_), Some(named)) => Error::Forbidden(format!(
            "You are not permitted to create images owned by '{named}'."
        )),
        (e, _) => e,
    })
}

/// Whether a caller may use an image.
pub(crate) fn visible(tx: &Tx<'_>, caller: &Caller, id: &ImageId) -> Result<row::Image> {
    let image: row::Image = tx.get(id)?;
    let open = matches!(image.visibility.as_str(), "public" | "community");
    list::seen(open || caller.sees(&image.owner), image, Kind::Image, id)
}

fn owned(tx: &Tx<'_>, caller: &Caller, id: &ImageId) -> Result<row::Image> {
    let image = visible(tx, caller, id)?;
    caller.require_member()?;
    match caller.sees(&image.owner) {
        true => Ok(image),
        false => Err(Error::Forbidden(format!(
            "You are not allowed to change image {id}."
        ))),
    }
}

fn check(caller: &Caller, image: &row::Image, before: Option<&row::Image>) -> Result<()> {
    if let Some(name) = &image.name {
        list::check_name("name", name)?;
    }
    if !VISIBILITIES.contains(&image.visibility.as_str()) {
        return Err(Error::invalid(format!(
            "Invalid visibility value: {}",
            image.visibility
        )));
    }
    if image.visibility == "public"
        && before.is_none_or(|b| b.visibility != "public")
        && !caller.is_admin()
    {
        return Err(Error::Forbidden(
            "You are not authorized to publicize images.".into(),
        ));
    }
    check_format("disk_format", image.disk_format.as_deref(), &DISK_FORMATS)?;
    check_format(
        "container_format",
        image.container_format.as_deref(),
        &CONTAINER_FORMATS,
    )?;
    if let Some(before) = before {
        let formats = (&image.disk_format, &image.container_format);
        if before.status != "queued" && formats != (&before.disk_format, &before.container_format) {
            return Err(Error::Forbidden(
                "disk_format and container_format cannot change once an image has data.".into(),
            ));
        }
        if image.owner != before.owner {
            caller.require_admin()?;
        }
    }
    let size: usize = image
        .properties
        .0
        .iter()
        .map(|(k, v)| k.len() + v.len())
        .sum();
    if image.properties.0.len() > 128 || size > 65_536 {
        return Err(Error::TooLarge(
            "an image takes at most 128 properties of 64 KiB in all".into(),
        ));
    }
    image
        .tags
        .0
        .iter()
        .chain(image.properties.0.keys())
        .try_for_each(|text| list::check_name("a tag or property name", text))
}

fn check_format(what: &str, format: Option<&str>, known: &[&str]) -> Result<()> {
    match format {
        Some(format) if !known.contains(&format) => Err(Error::invalid(format!(
            "Invalid {what} '{format}': this cloud takes {}",
            known.join(", ")
        ))),
        _ => Ok(()),
    }
}

"""Countries as people write them ("UK", "Deutschland") to the two letters of ISO 3166-1."""

from __future__ import annotations

import unicodedata
from functools import cache

# Two letters, three letters, English name; then other spellings, each after a semicolon.
_TABLE = """
AD AND Andorra
AE ARE United Arab Emirates; UAE; Emirates
AF AFG Afghanistan
AG ATG Antigua and Barbuda; Antigua
AI AIA Anguilla
AL ALB Albania; Shqiperia
AM ARM Armenia
AO AGO Angola
AQ ATA Antarctica
AR ARG Argentina; Argentine Republic
AS ASM American Samoa
AT AUT Austria; Österreich; Oesterreich; Autriche
AU AUS Australia
AW ABW Aruba
AX ALA Åland Islands; Åland
AZ AZE Azerbaijan
BA BIH Bosnia and Herzegovina; Bosnia; Bosna i Hercegovina
BB BRB Barbados
BD BGD Bangladesh
BE BEL Belgium; België; Belgique; Belgien
BF BFA Burkina Faso
BG BGR Bulgaria; България
BH BHR Bahrain
BI BDI Burundi
BJ BEN Benin
BL BLM Saint Barthélemy
BM BMU Bermuda
BN BRN Brunei Darussalam; Brunei
BO BOL Bolivia; Plurinational State of Bolivia; Bolivia, Plurinational State of
BQ BES Bonaire, Sint Eustatius and Saba; Caribbean Netherlands; Bonaire
BR BRA Brazil; Brasil
BS BHS Bahamas
BT BTN Bhutan
BV BVT Bouvet Island
BW BWA Botswana
BY BLR Belarus
BZ BLZ Belize
CA CAN Canada
CC CCK Cocos (Keeling) Islands; Cocos Islands
CD COD Congo, Democratic Republic of the; Democratic Republic of the Congo; DR Congo; DRC
CF CAF Central African Republic
CG COG Congo; Republic of the Congo; Congo-Brazzaville
CH CHE Switzerland; Schweiz; Suisse; Svizzera; Swiss Confederation
CI CIV Côte d'Ivoire; Ivory Coast
CK COK Cook Islands
CL CHL Chile
CM CMR Cameroon; Cameroun
CN CHN China; People's Republic of China; PRC; Mainland China
CO COL Colombia
CR CRI Costa Rica
CU CUB Cuba
CV CPV Cabo Verde; Cape Verde
CW CUW Curaçao
CX CXR Christmas Island
CY CYP Cyprus; Kypros
CZ CZE Czechia; Czech Republic; Česko; Česká republika; Tschechien
DE DEU Germany; Deutschland; Allemagne; Federal Republic of Germany; Duitsland; Alemania; Germania
DJ DJI Djibouti
DK DNK Denmark; Danmark; Dänemark; Danemark
DM DMA Dominica
DO DOM Dominican Republic
DZ DZA Algeria; Algérie
EC ECU Ecuador
EE EST Estonia; Eesti
EG EGY Egypt
EH ESH Western Sahara
ER ERI Eritrea
ES ESP Spain; España; Spanien; Espagne; Spanje; Spagna
ET ETH Ethiopia
FI FIN Finland; Suomi; Finnland
FJ FJI Fiji
FK FLK Falkland Islands (Malvinas); Falkland Islands; Falklands
FM FSM Micronesia, Federated States of; Micronesia; Federated States of Micronesia
FO FRO Faroe Islands; Faeroe Islands; Føroyar
FR FRA France; Frankreich; Frankrijk; Francia; French Republic
GA GAB Gabon
GB GBR United Kingdom; UK; Great Britain; Britain; England; Scotland; Wales; Northern Ireland; \
United Kingdom of Great Britain and Northern Ireland; Royaume-Uni; Vereinigtes Königreich; \
Großbritannien; Reino Unido; Regno Unito; Verenigd Koninkrijk
GD GRD Grenada
GE GEO Georgia
GF GUF French Guiana
GG GGY Guernsey
GH GHA Ghana
GI GIB Gibraltar
GL GRL Greenland; Grønland; Kalaallit Nunaat
GM GMB Gambia
GN GIN Guinea
GP GLP Guadeloupe
GQ GNQ Equatorial Guinea
GR GRC Greece; EL; Hellas; Hellenic Republic; Ελλάδα; Griechenland; Grèce
GS SGS South Georgia and the South Sandwich Islands; South Georgia
GT GTM Guatemala
GU GUM Guam
GW GNB Guinea-Bissau
GY GUY Guyana
HK HKG Hong Kong; Hong Kong SAR; Hong Kong SAR China; Hongkong
HM HMD Heard Island and McDonald Islands
HN HND Honduras
HR HRV Croatia; Hrvatska; Kroatien
HT HTI Haiti
HU HUN Hungary; Magyarország; Ungarn
ID IDN Indonesia
IE IRL Ireland; Republic of Ireland; Eire; Irland; Irlande
IL ISR Israel
IM IMN Isle of Man
IN IND India; Bharat
IO IOT British Indian Ocean Territory
IQ IRQ Iraq
IR IRN Iran, Islamic Republic of; Iran; Islamic Republic of Iran
IS ISL Iceland; Ísland; Island
IT ITA Italy; Italia; Italien; Italie; Italië
JE JEY Jersey
JM JAM Jamaica
JO JOR Jordan
JP JPN Japan; Nippon; 日本
KE KEN Kenya
KG KGZ Kyrgyzstan
KH KHM Cambodia
KI KIR Kiribati
KM COM Comoros
KN KNA Saint Kitts and Nevis; St Kitts and Nevis; St Kitts
KP PRK Korea, Democratic People's Republic of; North Korea; Democratic People's Republic of Korea; \
DPRK
KR KOR Korea, Republic of; South Korea; Republic of Korea
KW KWT Kuwait
KY CYM Cayman Islands
KZ KAZ Kazakhstan
LA LAO Lao People's Democratic Republic; Laos; Lao PDR
LB LBN Lebanon
LC LCA Saint Lucia; St Lucia
LI LIE Liechtenstein
LK LKA Sri Lanka
LR LBR Liberia
LS LSO Lesotho
LT LTU Lithuania; Lietuva; Litauen
LU LUX Luxembourg; Luxemburg; Lëtzebuerg
LV LVA Latvia; Latvija; Lettland
LY LBY Libya
MA MAR Morocco; Maroc
MC MCO Monaco
MD MDA Moldova, Republic of; Moldova; Republic of Moldova
ME MNE Montenegro; Crna Gora
MF MAF Saint Martin (French part); Saint Martin
MG MDG Madagascar
MH MHL Marshall Islands
MK MKD North Macedonia; Macedonia; Republic of North Macedonia
ML MLI Mali
MM MMR Myanmar; Burma
MN MNG Mongolia
MO MAC Macao; Macau; Macao SAR
MP MNP Northern Mariana Islands
MQ MTQ Martinique
MR MRT Mauritania
MS MSR Montserrat
MT MLT Malta
MU MUS Mauritius
MV MDV Maldives
MW MWI Malawi
MX MEX Mexico; México
MY MYS Malaysia
MZ MOZ Mozambique; Moçambique
NA NAM Namibia
NC NCL New Caledonia
NE NER Niger
NF NFK Norfolk Island
NG NGA Nigeria
NI NIC Nicaragua
NL NLD Netherlands; Nederland; Holland; Niederlande; Pays-Bas; Kingdom of the Netherlands; \
Países Bajos; Paesi Bassi
NO NOR Norway; Norge; Noreg; Norwegen; Norvège
NP NPL Nepal
NR NRU Nauru
NU NIU Niue
NZ NZL New Zealand; Aotearoa
OM OMN Oman
PA PAN Panama
PE PER Peru; Perú
PF PYF French Polynesia; Tahiti
PG PNG Papua New Guinea
PH PHL Philippines; Pilipinas
PK PAK Pakistan
PL POL Poland; Polska; Polen; Pologne
PM SPM Saint Pierre and Miquelon; St Pierre and Miquelon
PN PCN Pitcairn; Pitcairn Islands
PR PRI Puerto Rico
PS PSE Palestine, State of; Palestine; Palestinian Territories; State of Palestine
PT PRT Portugal
PW PLW Palau
PY PRY Paraguay
QA QAT Qatar
RE REU Réunion
RO ROU Romania; România; Rumänien
RS SRB Serbia; Srbija; Србија; Serbien
RU RUS Russian Federation; Russia; Россия
RW RWA Rwanda
SA SAU Saudi Arabia; KSA; Kingdom of Saudi Arabia
SB SLB Solomon Islands
SC SYC Seychelles
SD SDN Sudan
SE SWE Sweden; Sverige; Schweden; Suède; Zweden
SG SGP Singapore
SH SHN Saint Helena, Ascension and Tristan da Cunha; Saint Helena; St Helena
SI SVN Slovenia; Slovenija; Slowenien
SJ SJM Svalbard and Jan Mayen; Svalbard
SK SVK Slovakia; Slovensko; Slovak Republic; Slowakei
SL SLE Sierra Leone
SM SMR San Marino
SN SEN Senegal; Sénégal
SO SOM Somalia
SR SUR Suriname
SS SSD South Sudan
ST STP Sao Tome and Principe
SV SLV El Salvador
SX SXM Sint Maarten (Dutch part); Sint Maarten; St Maarten
SY SYR Syrian Arab Republic; Syria
SZ SWZ Eswatini; Swaziland
TC TCA Turks and Caicos Islands; Turks and Caicos
TD TCD Chad; Tchad
TF ATF French Southern Territories
TG TGO Togo
TH THA Thailand
TJ TJK Tajikistan
TK TKL Tokelau
TL TLS Timor-Leste; East Timor
TM TKM Turkmenistan
TN TUN Tunisia; Tunisie
TO TON Tonga
TR TUR Türkiye; Turkey; Türkei; Turquie
TT TTO Trinidad and Tobago; Trinidad
TV TUV Tuvalu
TW TWN Taiwan, Province of China; Taiwan
TZ TZA Tanzania, United Republic of; Tanzania; United Republic of Tanzania
UA UKR Ukraine; Україна
UG UGA Uganda
UM UMI United States Minor Outlying Islands; US Minor Outlying Islands
US USA United States of America; United States; America; Vereinigte Staaten; États-Unis; \
Estados Unidos; Stati Uniti; Verenigde Staten
UY URY Uruguay
UZ UZB Uzbekistan
VA VAT Holy See; Vatican; Vatican City; Vatican City State
VC VCT Saint Vincent and the Grenadines; St Vincent and the Grenadines; St Vincent
VE VEN Venezuela, Bolivarian Republic of; Venezuela; Bolivarian Republic of Venezuela
VG VGB Virgin Islands (British); British Virgin Islands; BVI
VI VIR Virgin Islands (U.S.); US Virgin Islands; USVI
VN VNM Viet Nam; Vietnam; Việt Nam
VU VUT Vanuatu
WF WLF Wallis and Futuna
WS WSM Samoa
YE YEM Yemen
YT MYT Mayotte
ZA ZAF South Africa; Republic of South Africa; RSA; Zuid-Afrika; Suid-Afrika; Südafrika
ZM ZMB Zambia
ZW ZWE Zimbabwe
"""


def code(text: str) -> str | None:
    """The ISO 3166-1 alpha-2 code that `text` means, or None.

    Understands codes of two and three letters, English names and the usual other ones; case,
    accents, punctuation and a leading "the" do not matter.
    """
    return _codes().get(_bare(text))


@cache
def _codes() -> dict[str, str]:
    codes: dict[str, str] = {}
    for line in _TABLE.strip().splitlines():
        alpha2, alpha3, names = line.split(maxsplit=2)
        for spelling in (alpha2, alpha3, *names.split(";")):
            codes[_bare(spelling)] = alpha2
    return codes


def _bare(text: str) -> str:
    """Letters only, without case or accents: "The U.S.A." and "usa" are one spelling."""
    spelled_out = text.replace("&", " and ").casefold().strip().removeprefix("the ")
    decomposed = unicodedata.normalize("NFKD", spelled_out).replace("ø", "o")
    return "".join(letter for letter in decomposed if letter.isalpha())
